"""The engine: each request is a generator, and closing that aborts the request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from vllm import SamplingParams, TokensPrompt
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.sampling_params import RequestOutputKind


@dataclass(frozen=True)
class ModelConfig:
    max_model_len: int


@dataclass(frozen=True)
class CompletionOutput:
    text: str
    token_ids: list[int]
    finish_reason: str | None


@dataclass(frozen=True)
class RequestOutput:
    outputs: list[CompletionOutput]
    finished: bool


class AsyncLLM:
    """Answers with the prompt's tokens, two at a time, again and again; tells what is aborted."""

    def __init__(self, arguments: AsyncEngineArgs) -> None:
        config = json.loads((Path(arguments.model) / "config.json").read_text())
        self.model_config = ModelConfig(config["max_position_embeddings"])
        self.has_tokenizer = not arguments.skip_tokenizer_init
        self.running: set[str] = set()
        self.began = asyncio.Event()
        self.aborted = asyncio.Event()

    @classmethod
    def from_engine_args(cls, engine_args: AsyncEngineArgs) -> AsyncLLM:
        return cls(engine_args)

    async def generate(
        self, prompt: TokensPrompt, sampling_params: SamplingParams, request_id: str
    ) -> AsyncGenerator[RequestOutput, None]:
        given = prompt["prompt_token_ids"]
        if not given:
            raise ValueError("The decoder prompt cannot be empty")
        if len(given) >= self.model_config.max_model_len:
            raise ValueError(f"The decoder prompt (length {len(given)}) is longer than the maximum")
        if sampling_params.detokenize and not self.has_tokenizer:
            raise ValueError("Cannot detokenize without a tokenizer")
        if request_id in self.running:
            raise ValueError(f"Request id {request_id} already running.")
        assert sampling_params.output_kind is RequestOutputKind.DELTA
        self.running.add(request_id)
        self.began.set()
        room = min(sampling_params.max_tokens, self.model_config.max_model_len - len(given))
        told = 0
        try:
            finished = None
            while finished is None:
                await asyncio.sleep(0)
                new = [given[(told + k) % len(given)] for k in range(min(2, room - told))]
                ends = [k for k, token in enumerate(new) if token in sampling_params.stop_token_ids]
                if ends:
                    new, finished = new[: ends[0] + 1], "stop"
                told += len(new)
                if told == room and finished is None:
                    finished = "length"
                output = CompletionOutput("", new, finished)
                yield RequestOutput([output], finished is not None)
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted.set()
            raise
        finally:
            self.running.discard(request_id)
