"""W2 with BentoML."""

import bentoml
import numpy as np
from model import embeddings


@bentoml.service(metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Embed:
    def __init__(self) -> None:
        self.encoder = embeddings()

    @bentoml.api(batchable=True, max_batch_size=64)
    def embed(self, texts: list[str]) -> np.ndarray:
        return self.encoder.encode(texts).numpy()
