"""One start of ``pretrained.py``: loads the model, answers, and says when (CLOCK_MONOTONIC)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def plainly(folder: Path, device: str) -> Any:
    """As transformers' documentation has it."""
    from transformers import AutoModelForCausalLM

    place = None if device == "cpu" else device
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", device_map=place)


def hooked(folder: Path, device: str) -> Any:
    """The same, with our loader behind it."""
    from bentofn import weights

    weights.prefetch(*folder.glob("*.safetensors"), device=device)
    with weights.accelerate(device):
        return plainly(folder, device)


def loaded(folder: Path, device: str) -> Any:
    """The module on no device, then its weights."""
    from bentofn import weights

    files = sorted(folder.glob("*.safetensors"))
    weights.prefetch(*files, device=device)
    import torch
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM, LlamaRotaryEmbedding

    config = LlamaConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model.load_state_dict(weights.load_files(files, device), assign=True)
    with torch.device(device):  # the one thing of the module that is in no file: it is computed
        model.model.rotary_emb = LlamaRotaryEmbedding(config)
    return model.eval()


def main() -> None:
    """Load, answer, tell."""
    how, folder, device = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    ways = {"from_pretrained": plainly, "hook": hooked, "load": loaded}
    model = ways[how](folder, device)
    import torch

    with torch.inference_mode():
        logits = model(torch.arange(1, 17, device=device)[None]).logits.float().cpu()
    at = time.monotonic()
    weights = {
        name: int(each.view(torch.int16).sum(dtype=torch.int64))
        for name, each in model.named_parameters()
    }
    print(json.dumps({"at": at, "logits": logits[0, -1, :64].tolist(), "weights": weights}))


if __name__ == "__main__":
    main()
