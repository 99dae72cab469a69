"""A stack of wide linear layers: as many megabytes of weights as its model holds."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

import bentofn
from bentofn.models import BentoModel


@bentofn.service(name="bench-weights", resources={"cpu": "1"})
class Weights:
    """A number in, a number out; every weight is read once."""

    model = BentoModel("bench-weights:latest")

    def __init__(self) -> None:
        weights = load_file(self.model.path / "model.safetensors")
        # Copied, as load_state_dict does: the weights are the process's own memory.
        self.layers = [weights[name].clone() for name in sorted(weights)]

    @bentofn.api(examples=[{"value": 1.0}])
    def predict(self, value: float) -> float:
        """The sum of the last layer's outputs."""
        hidden = torch.full((1, self.layers[0].shape[1]), value)
        with torch.inference_mode():
            for layer in self.layers:
                hidden = torch.nn.functional.linear(hidden, layer).tanh()
        return float(hidden.sum())
