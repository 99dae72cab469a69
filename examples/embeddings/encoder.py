"""A BERT sentence encoder in plain PyTorch: mapped weights, no parameter initialised twice.

`transformers` would add two seconds to a cold start for the same numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor


@dataclass(frozen=True)
class BertConfig:
    """The part of a Hugging Face `config.json` that the forward pass needs."""

    layers: int
    heads: int
    epsilon: float

    @classmethod
    def read(cls, path: Path) -> BertConfig:
        """Read `config.json`."""
        raw = json.loads(path.read_text())
        return cls(raw["num_hidden_layers"], raw["num_attention_heads"], raw["layer_norm_eps"])


class SentenceEncoder:
    """Texts to unit-length embeddings: BERT, mean over the tokens, L2 norm.

    Args:
        directory: A sentence-transformers model: `model.safetensors`, `config.json` and
            `tokenizer.json`.
        max_tokens: Tokens of a text that are read; the model was trained with 256.
    """

    def __init__(self, directory: Path, max_tokens: int = 256) -> None:
        self.config = BertConfig.read(directory / "config.json")
        self.weights = load_file(directory / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding()

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> Tensor:
        """Embed texts.

        Args:
            texts: One or more texts.

        Returns:
            float32 tensor of shape (len(texts), hidden size), rows of length 1.
        """
        encodings = self.tokenizer.encode_batch(texts)
        tokens = torch.tensor([encoding.ids for encoding in encodings])
        mask = torch.tensor([encoding.attention_mask for encoding in encodings])
        hidden = self._embed(tokens)
        attention_mask = mask[:, None, None, :].bool()
        for layer in range(self.config.layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, attention_mask)
        weight = mask[..., None].to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1)
        return F.normalize(mean, dim=1)

    def _embed(self, tokens: Tensor) -> Tensor:
        words = F.embedding(tokens, self.weights["embeddings.word_embeddings.weight"])
        positions = self.weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        segment = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings.LayerNorm", words + positions + segment)

    def _layer(self, name: str, hidden: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            self._heads(self._linear(f"{name}.attention.self.{part}", hidden))
            for part in ("query", "key", "value")
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = self._linear(
            f"{name}.attention.output.dense", attended.transpose(1, 2).flatten(2)
        )
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        inner = F.gelu(self._linear(f"{name}.intermediate.dense", hidden))
        outer = self._linear(f"{name}.output.dense", inner)
        return self._norm(f"{name}.output.LayerNorm", hidden + outer)

    def _heads(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(2, (self.config.heads, -1)).transpose(1, 2)

    def _linear(self, name: str, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, hidden: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(hidden, weight.shape, weight, bias, self.config.epsilon)
