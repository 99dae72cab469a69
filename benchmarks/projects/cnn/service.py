"""Image classification with a small convolutional network."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import bentofn
from bentofn.models import BentoModel

WIDTHS = (3, 32, 64, 128, 256)
CLASSES = 100


def network() -> nn.Sequential:
    """Blocks of two convolutions that halve the image, then one linear layer."""
    blocks: list[nn.Module] = []
    for narrow, wide in itertools.pairwise(WIDTHS):
        blocks += [
            nn.Conv2d(narrow, wide, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1, stride=2),
            nn.ReLU(),
        ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, CLASSES))


@bentofn.service(name="bench-cnn", resources={"cpu": "1"})
class CNN:
    """An image's pixels in, its class out."""

    model = BentoModel("bench-cnn:latest")

    def __init__(self) -> None:
        self.network = network().eval()
        self.network.load_state_dict(load_file(self.model.path / "model.safetensors"))

    @bentofn.api(examples=[{"pixels": [[[128, 64, 32]] * 8] * 8}])
    def classify(self, pixels: list[list[list[int]]]) -> int:
        """The index of the likeliest class.

        Args:
            pixels: Rows of pixels of red, green and blue, 0 to 255.
        """
        image = Image.fromarray(np.asarray(pixels, dtype=np.uint8)).resize((64, 64))
        batch = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        with torch.inference_mode():
            return int(self.network(batch).argmax())
