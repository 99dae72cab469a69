"""A service with an endpoint for each way in which values travel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

import bentofn
from bentofn.exceptions import InvalidArgument
from bentofn.validators import DType, Shape


class Item(BaseModel):
    """What is sold; */ and \"\"\" end nothing."""

    name: str
    price: float = 1.0
    tags: list[str] = []
    kind: Literal["fruit", "it's"] = "fruit"
    also: Item | None = None


class Receipt(BaseModel):
    total: float
    items: list[Item]
    note: str | None = None


class Progress(BaseModel):
    step: int
    text: str


@bentofn.service(name="corner shop")
class Shop:
    @bentofn.api
    def buy(self, items: list[Item], discount: float = 0.0, note: str | None = None) -> Receipt:
        """Buy things. A `*/` is no end."""
        total = sum(item.price for item in items) - discount
        return Receipt(total=total, items=items, note=note)

    @bentofn.api
    def shout(self, text: str, /) -> str:
        return text.upper()

    @bentofn.api
    def sorted_tags(self, items: list[Item], /) -> dict[str, list[str]]:
        return {item.name: sorted(item.tags) for item in items}

    @bentofn.api
    def quoted(self, word: Annotated[str, Field(alias="class")], retries: int = 0) -> str:
        return f"<{word}>"

    @bentofn.api
    def scale(
        self, values: Annotated[np.ndarray, Shape((-1, 2)), DType("float64")], by: float
    ) -> np.ndarray:
        return values * by

    @bentofn.api
    def upload(self, files: list[Path], label: str = "none") -> list[str]:
        return [label, *(file.read_text() for file in files)]

    @bentofn.api
    def download(self, ctx: bentofn.Context) -> Path:
        target = Path(ctx.temp_dir) / "answer.json"
        target.write_text('{"is": "a file"}')
        return target

    @bentofn.api
    def count(self, to: int = 3) -> Iterator[str]:
        for number in range(to):
            yield f"{number}é "

    @bentofn.api
    async def work(self, steps: int) -> AsyncIterator[Progress]:
        for step in range(steps):
            yield Progress(step=step, text='"}{[' + "é\\" * step)

    @bentofn.api
    def data(self) -> Iterator[bytes]:
        yield b"\x00\xff"
        yield b"\x01"

    @bentofn.task
    def bake(self, loaves: int) -> list[str]:
        return ["bread"] * loaves

    @bentofn.api
    def refuse(self) -> str:
        raise InvalidArgument("not today")

    @bentofn.api(route="/shelves/{name}")
    def shelf(self, ctx: bentofn.Context) -> str:
        return str(ctx.request.path_params["name"])
