"""Streams, from sync and async generators."""

from __future__ import annotations

import typing as t

import bentoml
from pydantic import BaseModel


class Chunk(BaseModel):
    number: int


@bentoml.service
class Case:
    @bentoml.api
    def words(self, count: int = 3) -> t.Generator[str, None, None]:
        for number in range(count):
            yield f"{number} "

    @bentoml.api
    async def words_later(self, count: int = 3) -> t.AsyncGenerator[str, None]:
        for number in range(count):
            yield f"{number} "

    @bentoml.api
    async def data(self) -> t.AsyncGenerator[bytes, None]:
        yield b"\x00\xff"
        yield b"\x01"

    @bentoml.api
    def dicts(self) -> t.Generator[dict, None, None]:
        yield {"a": 1}
        yield {"a": 2}

    @bentoml.api
    def models(self) -> t.Iterator[Chunk]:
        yield Chunk(number=1)
        yield Chunk(number=2)

    @bentoml.api
    async def breaks_first(self) -> t.AsyncGenerator[str, None]:
        raise bentoml.exceptions.BadInput("no")
        yield "never"

    @bentoml.api
    async def breaks_later(self) -> t.AsyncGenerator[str, None]:
        yield "one "
        raise ValueError("broken")
