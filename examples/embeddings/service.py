"""Sentence embeddings with all-MiniLM-L6-v2."""

from __future__ import annotations

import numpy as np
from encoder import SentenceEncoder

import bentofn
from bentofn.models import BentoModel


@bentofn.service(name="embeddings", resources={"cpu": "1"}, traffic={"timeout": 60})
class Embeddings:
    """Texts in, unit-length vectors out."""

    model = BentoModel("all-minilm-l6-v2:latest")

    def __init__(self) -> None:
        self.encoder = SentenceEncoder(self.model.path)

    @bentofn.api(
        batchable=True,
        max_batch_size=64,
        max_latency_ms=10_000,
        examples=[{"texts": ["A bento is a single-portion meal."]}],
    )
    def embed(self, texts: list[str]) -> np.ndarray:
        """Embed texts: one row of 384 numbers for each."""
        return self.encoder.encode(texts).numpy()
