"""The model whose weights are loaded: bf16, of the shapes of a transformer of 8 GB."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from gpu.setup import Setup


def model_file(setup: Setup) -> Path:
    """The file, written once."""
    file = setup.folder / "model.safetensors"
    if not file.exists():
        save_file(tensors(setup.size), file)
    return file


def tensors(size: int) -> dict[str, torch.Tensor]:
    """Tensors of so many bytes, no two the same."""
    width = 4096 if size >= 1 << 30 else 64
    shapes = {"q": (width, width), "o": (width, width), "up": (4 * width, width), "norm": (width,)}
    torch.manual_seed(0)
    noise = torch.randint(-(2**15), 2**15, (4 * width * width,), dtype=torch.int16)
    found: dict[str, torch.Tensor] = {}
    left, layer = size, 0
    while left > 0:
        for name, shape in shapes.items():
            count = torch.Size(shape).numel()
            # Any bits are as good as others, where bits are compared.
            values = noise[:count] + layer
            found[f"layers.{layer}.{name}"] = values.view(torch.bfloat16).view(shape)
            left -= 2 * count
        layer += 1
    return found
