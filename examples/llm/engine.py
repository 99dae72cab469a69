"""What generates text: our transformer on the CPU, or vLLM on a GPU."""

from __future__ import annotations

import asyncio
import importlib.util
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor
from transformer import Cache, Transformer

END = 0
"""The token after which nothing comes; any other is the ASCII code of a character."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        max_tokens: Tokens at most.
        temperature: 0 takes the likeliest token.
        seed: Makes a temperature above 0 repeatable.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int | None = None


@dataclass(frozen=True)
class Piece:
    """What one step generated, of how many tokens; the last piece says why it is the last."""

    text: str
    finished: Literal["stop", "length"] | None = None
    tokens: int = 1


class Engine(Protocol):
    """Generates text, for many callers at a time."""

    def stream(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Pieces of what follows a prompt; closing the generator ends the work."""
        ...


def encode(text: str) -> list[int]:
    """The tokens of a text; what is not ASCII becomes a question mark."""
    return list(text.encode("ascii", "replace"))


def fitting(prompt: str, limit: int) -> list[int]:
    """The last tokens of a prompt, as many as leave one of the model's positions for the answer."""
    return (encode(prompt) or [END])[-(limit - 1) :]


def open_engine(model: Path) -> Engine:
    """vLLM where it is installed and there is a GPU, else our own."""
    if importlib.util.find_spec("vllm") and torch.cuda.is_available():
        return VLLMEngine(model)
    return CPUEngine(model)


class CPUEngine:
    """Our transformer, one token after another, each on a thread.

    Args:
        model: Folder of the weights.
    """

    def __init__(self, model: Path) -> None:
        self.model = Transformer.load(model)
        self.limit = self.model.config.max_position_embeddings

    async def stream(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Pieces of one character each."""
        tokens = fitting(prompt, self.limit)
        room = min(sampling.max_tokens, self.limit - len(tokens))
        dice = torch.Generator()
        if sampling.seed is None:
            dice.seed()
        else:
            dice.manual_seed(sampling.seed)
        past: list[Cache] | None = None
        for number in range(1, room + 1):
            logits, past = await asyncio.to_thread(self._step, tokens, past)
            token = choose(logits, sampling.temperature, dice)
            if token == END:
                yield Piece("", "stop")
                return
            yield Piece(chr(token), "length" if number == room else None)
            tokens = [token]

    @torch.inference_mode()
    def _step(self, tokens: list[int], past: list[Cache] | None) -> tuple[Tensor, list[Cache]]:
        logits, cache = self.model(torch.tensor([tokens]), past)
        return logits[0, -1], cache


def choose(logits: Tensor, temperature: float, dice: torch.Generator) -> int:
    """The next token of logits of shape (vocabulary,)."""
    if temperature == 0:
        return int(logits.argmax())
    odds = torch.softmax(logits / temperature, dim=0)
    return int(torch.multinomial(odds, 1, generator=dice))


class VLLMEngine:
    """vLLM, which batches all callers' tokens on the GPU.

    Args:
        model: Folder of the weights.
    """

    def __init__(self, model: Path) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = AsyncEngineArgs(model=str(model), skip_tokenizer_init=True)
        self.engine = AsyncLLM.from_engine_args(arguments)
        self.limit = self.engine.model_config.max_model_len

    async def stream(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Pieces of one or a few characters each."""
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            seed=sampling.seed,
            stop_token_ids=[END],
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        tokens = TokensPrompt(prompt_token_ids=fitting(prompt, self.limit))
        outputs = self.engine.generate(tokens, parameters, uuid.uuid4().hex)
        async with aclosing(outputs):  # which aborts what was not asked for to its end
            async for output in outputs:
                new = output.outputs[0]
                text = "".join(chr(token) for token in new.token_ids if token != END)
                yield Piece(text, new.finish_reason, len(new.token_ids))
