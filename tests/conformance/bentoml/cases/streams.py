"""Streams, from sync and async generators."""

from __future__ import annotations

import typing as t

import bentoml
from pydantic import BaseModel, Field


class Chunk(BaseModel):
    number: int


class Words(Chunk):
    text: str


Count = t.Annotated[int, Field(le=100)]


@bentoml.service
class Case:
    @bentoml.api
    def words(self, count: Count = 3) -> t.Generator[str, None, None]:
        for number in range(count):
            yield f"{number} "

    @bentoml.api
    async def words_later(self, count: Count = 3) -> t.AsyncGenerator[str, None]:
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
    def breaks_between(self) -> t.Generator[str, None, None]:
        yield "one "
        raise ValueError("broken")

    @bentoml.api
    def headed(self, ctx: bentoml.Context) -> t.Generator[str, None, None]:
        ctx.response.status_code = 202
        ctx.response.headers["x-from-service"] = "yes"
        ctx.response.set_cookie("crumb", "rye")
        yield "one"

    @bentoml.api
    async def breaks_first(self) -> t.AsyncGenerator[str, None]:
        raise bentoml.exceptions.BadInput("no")
        yield "never"

    @bentoml.api
    async def breaks_later(self) -> t.AsyncGenerator[str, None]:
        yield "one "
        raise ValueError("broken")

    @bentoml.api
    def subclasses(self) -> t.Generator[Chunk, None, None]:
        yield Words(number=1, text="one")

    @bentoml.api
    async def subclasses_later(self) -> t.AsyncGenerator[Chunk, None]:
        yield Words(number=1, text="one")

    @bentoml.api
    def returned(self) -> t.Generator[str, None, None]:
        return (word for word in ("one ", "two"))

    @bentoml.api
    def wrong_chunk(self) -> t.Generator[Chunk, None, None]:
        yield 3
