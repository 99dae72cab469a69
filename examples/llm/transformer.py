"""A causal transformer of Llama's form in plain PyTorch: RMS norms, rotary positions, gated MLP.

Names and layout of the weights are those of Hugging Face's `LlamaForCausalLM`, so that vLLM and
transformers open the same files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """The part of a Hugging Face `config.json` that the forward pass needs."""

    vocab_size: int = 128
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    num_key_value_heads: int = 2
    max_position_embeddings: int = 1024
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    @property
    def head_size(self) -> int:
        """Numbers of one head's query."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read `config.json`."""
        raw = json.loads(path.read_text())
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__})

    def write(self, path: Path) -> None:
        """Write `config.json`, with what transformers and vLLM ask for besides."""
        extra = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "bos_token_id": 0,
            "eos_token_id": 0,
        }
        path.write_text(json.dumps({**asdict(self), **extra}, indent=2) + "\n")


Cache = tuple[Tensor, Tensor]
"""Keys and values of one layer, each of shape (batch, heads, tokens, head size)."""


class RMSNorm(nn.Module):
    """Divides by the root mean square, and scales."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """`x` of any shape that ends in `size`."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.head_size = config.num_attention_heads, config.head_size
        self.q_proj = nn.Linear(size, size, bias=False)
        self.k_proj = nn.Linear(size, size, bias=False)
        self.v_proj = nn.Linear(size, size, bias=False)
        self.o_proj = nn.Linear(size, size, bias=False)

    def forward(self, x: Tensor, angles: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        """`x` of shape (batch, tokens, size), `angles` of its tokens, and what came before."""
        batch, tokens, size = x.shape
        shape = batch, tokens, self.heads, self.head_size
        query = rotate(self.q_proj(x).view(shape).transpose(1, 2), angles)
        key = rotate(self.k_proj(x).view(shape).transpose(1, 2), angles)
        value = self.v_proj(x).view(shape).transpose(1, 2)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        # After a prefix only single tokens come, each of which sees all before it.
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, size)), (key, value)


class MLP(nn.Module):
    """The gated feed-forward block."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` of shape (batch, tokens, size)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and feed-forward, each after a norm and around a residual."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, angles: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        """As :meth:`Attention.forward`."""
        mixed, cache = self.self_attn(self.input_layernorm(x), angles, past)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), cache


class Transformer(nn.Module):
    """Tokens in, logits of the next ones out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, tokens: Tensor, past: list[Cache] | None = None
    ) -> tuple[Tensor, list[Cache]]:
        """The logits after each token, and what the next call needs of these.

        Args:
            tokens: int64 of shape (batch, tokens); one token if there is a past.
            past: What the call for the tokens before returned.

        Returns:
            Logits of shape (batch, tokens, vocabulary), and the past of a next call.
        """
        start = past[0][0].shape[2] if past else 0
        angles = self.angles(torch.arange(start, start + tokens.shape[1]))
        x = self.embed_tokens(tokens)
        caches = []
        for number, layer in enumerate(self.layers):
            x, cache = layer(x, angles, past[number] if past else None)
            caches.append(cache)
        return F.linear(self.norm(x), self.embed_tokens.weight), caches

    def angles(self, positions: Tensor) -> Tensor:
        """Rotations of shape (positions, head size)."""
        size = self.config.head_size
        speeds = self.config.rope_theta ** (-torch.arange(0, size, 2) / size)
        return torch.outer(positions.float(), speeds).repeat(1, 2)

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write(folder / "config.json")
        weights = {f"model.{name}": value for name, value in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path) -> Transformer:
        """Open what :meth:`save` wrote; no parameter is initialised first."""
        with torch.device("meta"):
            model = cls(Config.read(folder / "config.json"))
        weights = load_file(folder / "model.safetensors")
        named = {name.removeprefix("model."): value for name, value in weights.items()}
        model.load_state_dict(named, assign=True)
        return model.eval()


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the pairs (i, i + half) of each head by the angles of their positions."""
    left, right = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat((-right, left), dim=-1) * angles.sin()
