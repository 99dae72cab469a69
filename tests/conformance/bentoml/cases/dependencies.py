"""Services that call each other, each in a process of its own."""

from __future__ import annotations

import asyncio
import typing as t
from pathlib import Path

import bentoml
import numpy as np
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound
from PIL import Image
from pydantic import BaseModel, Field


class Point(BaseModel):
    x: int
    y: int = 0


KINDS: dict[str, type[Exception]] = {
    "InvalidArgument": InvalidArgument,
    "NotFound": NotFound,
    "BentoMLException": BentoMLException,
    "ValueError": ValueError,
}


@bentoml.service
class Base:
    def __init__(self) -> None:
        self.calls = 0

    @bentoml.api
    def count(self) -> int:
        self.calls += 1
        return self.calls


@bentoml.service
class Numbers:
    base = bentoml.depends(Base)

    @bentoml.api
    def double(self, x: int = Field(default=4, le=100)) -> int:
        return 2 * x

    @bentoml.api
    async def later(self, x: int, ctx: bentoml.Context) -> int:
        await asyncio.sleep(0)
        assert ctx.request.method == "POST"
        return 3 * x

    @bentoml.api(batchable=True)
    def each(self, items: list[int]) -> list[int]:
        return [item * item for item in items]

    @bentoml.api
    def count(self) -> int:
        return self.base.count()


@bentoml.service(traffic={"timeout": 20})
class Values:
    base = bentoml.depends(Base)

    @bentoml.api
    def scale(self, array: np.ndarray, by: float = 2.0) -> np.ndarray:
        return array * by

    @bentoml.api
    def move(self, point: Point, by: int = 1) -> Point:
        return Point(x=point.x + by, y=point.y)

    @bentoml.api
    def kind(self, value: t.Any) -> str:
        return type(value).__name__

    @bentoml.api
    def whole(self, points: list[Point], /) -> int:
        return sum(point.x for point in points)

    @bentoml.api
    def rest(self, first: str, *more: int) -> str:
        return " ".join([first, *map(str, more)])

    @bentoml.api
    def named(self, first: str, **others: t.Any) -> str:
        return " ".join([first, *(f"{name}={others[name]}" for name in sorted(others))])

    @bentoml.api
    def asked(self, question: str, context: str = "none") -> str:
        return f"{question} {context}"

    @bentoml.api
    def size(self, path: Path) -> int:
        return len(path.read_bytes())

    @bentoml.api
    def sizes(self, paths: list[Path]) -> int:
        return sum(len(path.read_bytes()) for path in paths)

    @bentoml.api
    def width(self, image: Image.Image) -> int:
        return image.width

    @bentoml.api
    def written(self, text: str, ctx: bentoml.Context) -> Path:
        path = Path(ctx.temp_dir) / "out.txt"
        path.write_text(text)
        return path

    @bentoml.api
    def letters(self, text: str) -> t.Generator[str, None, None]:
        yield from text

    @bentoml.api
    async def letters_later(self, text: str) -> t.AsyncGenerator[str, None]:
        for letter in text:
            yield letter

    @bentoml.api
    def fail(self, kind: str) -> str:
        raise KINDS[kind]("what is wrong")

    @bentoml.api
    async def fail_later(self, kind: str) -> str:
        raise KINDS[kind]("what is wrong")

    @bentoml.api
    def count(self) -> int:
        return self.base.count()


@bentoml.service(traffic={"timeout": 1})
class Slow:
    @bentoml.api
    async def sleeps(self) -> str:
        await asyncio.sleep(10)
        return "late"


@bentoml.service(traffic={"timeout": 30})
class Case:
    slow = bentoml.depends(Slow)
    numbers = bentoml.depends(Numbers)
    values = bentoml.depends(Values)

    @bentoml.api
    def in_sequence(self, x: int) -> list[int]:
        doubled = self.numbers.double(x)
        return [doubled, self.numbers.to_sync.later(doubled)]

    @bentoml.api
    async def in_sequence_later(self, x: int) -> list[int]:
        doubled = await self.numbers.to_async.double(x)
        return [doubled, await self.numbers.later(doubled)]

    @bentoml.api
    async def in_parallel(self, xs: list[int]) -> list[t.Any]:
        calls = [self.numbers.to_async.double(x) for x in xs]
        calls += [self.numbers.later(x) for x in xs]
        return list(await asyncio.gather(*calls))

    @bentoml.api
    async def batched(self, xs: list[int]) -> list[list[int]]:
        return list(await asyncio.gather(*(self.numbers.to_async.each([x]) for x in xs)))

    @bentoml.api
    async def one_fails(self, kind: str) -> list[str]:
        calls = [self.values.to_async.fail(kind), self.numbers.later(1)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        return [type(each).__name__ for each in done]

    @bentoml.api
    def shared(self) -> int:
        before = self.numbers.count()
        return self.values.count() - before

    @bentoml.api
    def arrays(self) -> list[t.Any]:
        scaled = self.values.scale(np.arange(3, dtype=np.float64), by=3)
        return [type(scaled).__name__, scaled.dtype.name, scaled.tolist()]

    @bentoml.api
    def models(self, as_dict: bool = False) -> list[t.Any]:
        point = {"x": "4"} if as_dict else Point(x=4, y=1)
        moved = self.values.move(point, by=2)
        return [isinstance(moved, Point), moved.x, moved.y]

    @bentoml.api
    def forward(self, name: str, given: list[t.Any], named: dict[str, t.Any]) -> list[t.Any]:
        service = self.values if hasattr(Values.inner, name) else self.numbers
        return [getattr(service, name)(*given, **named)]

    @bentoml.api
    def gathered(self, text: str) -> str:
        return "".join(self.values.letters(text))

    @bentoml.api
    async def gathered_later(self, text: str) -> str:
        return "".join([letter async for letter in self.values.letters_later(text)])

    @bentoml.api
    def files(self, as_text: bool, ctx: bentoml.Context) -> list[int]:
        path: t.Any = Path(ctx.temp_dir) / "in.txt"
        path.write_text("four")
        path = str(path) if as_text else path
        return [self.values.size(path), self.values.sizes([path, path])]

    @bentoml.api
    def images(self) -> int:
        return self.values.width(Image.new("RGB", (3, 2)))

    @bentoml.api
    def file_back(self) -> str:
        return self.values.written("text").read_text()

    @bentoml.api
    async def passed_on(self, text: str) -> t.AsyncGenerator[str, None]:
        async for letter in self.values.letters_later(text):
            yield letter

    @bentoml.api
    async def fails_later(self, kind: str) -> str:
        return await self.values.fail_later(kind)

    @bentoml.api
    def caught(self, kind: str) -> list[t.Any]:
        try:
            return [self.values.fail(kind)]
        except BentoMLException as error:
            return [type(error).__name__, int(error.error_code)]

    @bentoml.api
    def has_client(self) -> bool:
        return hasattr(self.values.to_sync, "client")

    @bentoml.api
    def too_slow(self) -> str:
        return self.slow.sleeps()

    @bentoml.api
    async def ready(self) -> list[bool]:
        return [await self.numbers.is_ready(10), await self.values.is_ready(10)]
