"""BERT in plain PyTorch, as a module to export: the build runs it, the bento holds no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class SelfAttention(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        size = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            layer(hidden).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return attended.transpose(1, 2).flatten(2)


class Output(nn.Module):
    """A projection back to the hidden size, added to what went in."""

    def __init__(self, inner: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], config["layer_norm_eps"])

    def forward(self, inner: Tensor, hidden: Tensor) -> Tensor:
        return self.LayerNorm(hidden + self.dense(inner))


class Layer(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        size, inner = config["hidden_size"], config["intermediate_size"]
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config), "output": Output(size, config)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, inner)})
        self.output = Output(inner, config)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        hidden = self.attention["output"](self.attention["self"](hidden, mask), hidden)
        return self.output(F.gelu(self.intermediate["dense"](hidden)), hidden)


class Encoder(nn.Module):
    """Tokens to unit-length embeddings: BERT, mean over the tokens, L2 norm.

    Its parameters have the names of the checkpoint's tensors.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        size = config["hidden_size"]
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config["vocab_size"], size),
                "position_embeddings": nn.Embedding(config["max_position_embeddings"], size),
                "token_type_embeddings": nn.Embedding(config["type_vocab_size"], size),
                "LayerNorm": nn.LayerNorm(size, config["layer_norm_eps"]),
            }
        )
        layers = [Layer(config) for _ in range(config["num_hidden_layers"])]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed token ids of shape (texts, tokens), 1 in the mask where a text has a token."""
        words = self.embeddings["word_embeddings"](input_ids)
        positions = self.embeddings["position_embeddings"].weight[: input_ids.shape[1]]
        segment = self.embeddings["token_type_embeddings"].weight[0]
        hidden = self.embeddings["LayerNorm"](words + positions + segment)
        mask = attention_mask[:, None, None, :].bool()
        for layer in self.encoder["layer"]:
            hidden = layer(hidden, mask)
        weight = attention_mask[..., None].to(hidden.dtype)
        return F.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)


def build(path: Path) -> nn.Module:
    """The module with its weights, given the model's directory."""
    encoder = Encoder(json.loads((path / "config.json").read_text()))
    weights = load_file(path / "model.safetensors")
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return encoder
