"""Sentence embeddings with all-MiniLM-L6-v2, served with ONNX Runtime."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer

import bentofn
from bentofn.models import BentoModel

MAX_TOKENS = 256  # what the model was trained with


@bentofn.service(name="embeddings-onnx", resources={"cpu": "1"}, traffic={"timeout": 60})
class Embeddings:
    """Texts in, unit-length vectors out."""

    model = BentoModel(
        "all-minilm-l6-v2:latest",
        runtime="onnx",
        module="encoder:build",
        example={"input_ids": [[101, 7592, 2088, 102]], "attention_mask": [[1, 1, 1, 1]]},
        dynamic={"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "tokens"]},
    )

    def __init__(self) -> None:
        self.encode = self.model.session()
        self.tokenizer = Tokenizer.from_file(self.model.path_of("tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()

    @bentofn.api(
        batchable=True,
        max_batch_size=64,
        max_latency_ms=10_000,
        examples=[{"texts": ["A bento is a single-portion meal."]}],
    )
    def embed(self, texts: list[str]) -> np.ndarray:
        """Embed texts: one row of 384 numbers for each."""
        encodings = self.tokenizer.encode_batch(texts)
        return self.encode(
            input_ids=[encoding.ids for encoding in encodings],
            attention_mask=[encoding.attention_mask for encoding in encodings],
        )
