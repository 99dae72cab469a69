"""A small language model that streams what it writes, with OpenAI's API under /v1."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import openai_api
from engine import Sampling, open_engine

import bentofn
from bentofn.models import BentoModel


@bentofn.asgi_app(openai_api.app, path="/v1")
@bentofn.service(name="llm", resources={"cpu": "1"}, traffic={"timeout": 300})
class LLM:
    """Text in, what comes after it out, token by token."""

    model = BentoModel("tiny-llm:latest")

    def __init__(self) -> None:
        self.engine = open_engine(self.model.path)

    @bentofn.api(examples=[{"prompt": "Beautiful is", "max_tokens": 8}])
    async def generate(self, prompt: str, max_tokens: int = 128) -> AsyncGenerator[str, None]:
        """Continue a text."""
        async for piece in self.engine.stream(prompt, Sampling(max_tokens)):
            yield piece.text
