"""W1 with bentofn."""

import numpy as np
from model import MLP

import bentofn
from bentofn.models import BentoModel


@bentofn.service(name="bench-predict", resources={"cpu": "1"})
class Predict:
    weights = BentoModel("bench-mlp:latest")

    def __init__(self) -> None:
        self.model = MLP(self.weights.path)

    @bentofn.api(batchable=True, max_batch_size=64, examples=[{"rows": [[0.5] * 768]}])
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows)
