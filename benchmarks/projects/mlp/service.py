"""A torch and FastAPI service: a small MLP, its answer encoded by FastAPI."""

from __future__ import annotations

import numpy as np
import torch
from fastapi.encoders import jsonable_encoder
from safetensors.torch import load_file

import bentofn
from bentofn.models import BentoModel


@bentofn.service(name="mlp", resources={"cpu": "1"})
class MLP:
    """Rows of 768 numbers in, rows of 10 out."""

    model = BentoModel("bench-mlp:latest")

    def __init__(self) -> None:
        self.weights = load_file(self.model.path / "model.safetensors")

    @bentofn.api(batchable=True, examples=[{"rows": [[0.5] * 768]}])
    def predict(self, rows: np.ndarray) -> list[list[float]]:
        """Logits: ten numbers for each row."""
        hidden = torch.as_tensor(rows, dtype=torch.float32)
        with torch.inference_mode():
            for layer in range(3):
                weight, bias = self.weights[f"{layer}.weight"], self.weights[f"{layer}.bias"]
                hidden = torch.nn.functional.linear(hidden, weight, bias)
                hidden = hidden.relu() if layer < 2 else hidden
        encoded: list[list[float]] = jsonable_encoder(hidden.tolist())
        return encoded
