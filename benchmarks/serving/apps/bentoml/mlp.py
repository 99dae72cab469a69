"""W1 with BentoML."""

import bentoml
import numpy as np
from model import MLP


@bentoml.service(metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Predict:
    def __init__(self) -> None:
        self.model = MLP()

    @bentoml.api(batchable=True, max_batch_size=64)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows)
