"""A dependency in this process is called as one in another process is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import BaseModel, Field

import bentofn
from bentofn.runtime.proxy import addresses, connect
from bentofn.runtime.proxy.base import Proxy
from tests.unit.runtime.proxy.serving import Server


class Point(BaseModel):
    x: int
    y: int = 0


class Size(BaseModel):
    width: Annotated[int, Field(gt=0)]
    unit: str = "px"


@bentofn.service(name="near", threads=2)
class Near:
    @bentofn.api
    def kind(self, x: int, by: float = 2.0) -> list[Any]:
        return [type(x).__name__, type(by).__name__, x * by]

    @bentofn.api
    def array(self, x: np.ndarray, ctx: bentofn.Context, scale: int = 1) -> list[Any]:
        assert ctx.request is not None
        return [type(x).__name__, (x * scale).tolist()]

    @bentofn.api
    async def point(self, at: Point, context: str = "") -> list[Any]:
        return [type(at).__name__, at.x, at.y, context]

    @bentofn.api(input_spec=Size)
    def sized(self, width: int, unit: str) -> str:
        return f"{width}{unit}"

    @bentofn.api
    def bounded(self, n: int = Field(default=3, le=9)) -> int:
        return n

    @bentofn.api
    def root(self, points: list[Point], /) -> int:
        return sum(each.x for each in points)

    @bentofn.api
    def file(self, path: Path) -> str:
        return path.name

    @bentofn.api
    def more(self, first: str, *rest: int, key: int = 0) -> list[Any]:
        return [first, *rest, key]

    @bentofn.api
    def others(self, first: str, **rest: Any) -> list[Any]:
        return [first, rest]

    @bentofn.api
    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    @bentofn.api
    async def later(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i

    @bentofn.api
    def given(self, n: int) -> Iterator[int]:
        return iter(range(n))


CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("kind", ("3",), {}),
    ("kind", (3, "1.5"), {}),
    ("kind", (2.5,), {}),
    ("kind", ("three",), {}),
    ("kind", (), {}),
    ("kind", (1, 2, 3), {}),
    ("kind", (1,), {"x": 1}),
    ("kind", (1,), {"unknown": 1}),
    ("array", ([1, 2],), {"scale": "3"}),
    ("array", (np.ones(2), 3), {}),
    ("array", ("text",), {}),
    ("point", ({"x": "1"},), {}),
    ("point", ({"x": 1, "y": 2}, "asked"), {}),
    ("point", ({"y": 1},), {}),
    ("sized", (3,), {}),
    ("sized", ("3", "em"), {}),
    ("sized", (0,), {}),
    ("bounded", (), {}),
    ("bounded", (10,), {}),
    ("root", ([{"x": 1}, {"x": "2"}],), {}),
    ("root", (1,), {}),
    ("file", ("/tmp/a.txt",), {}),
    ("more", ("a", 1, "2"), {"key": "3"}),
    ("more", ("a",), {}),
    ("more", ("a", "b"), {}),
    ("others", ("a",), {"b": 1}),
    ("count", ("3",), {}),
    ("count", ("x",), {}),
    ("later", ("3",), {}),
    ("later", ("x",), {}),
    ("given", ("3",), {}),
    ("none", (), {}),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Proxy]]:
    """The service in this process, and behind a socket."""
    near = connect(Near, None)
    path = tmp_path_factory.mktemp("s") / "near.sock"
    with pytest.MonkeyPatch.context() as patch:
        where = addresses.Addresses({"near": str(path)}, "s3cret")
        patch.setenv(addresses.VARIABLE, where.to_text())
        patch.setenv(addresses.ROLE, "near")
        server = Server(Near, path)
        far = connect(Near, None)
        yield near, far
        for proxy in (near, far):
            proxy.transport.close()
        server.stop()


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS)
def test_values_coercions_and_errors_are_those_of_a_call_between_processes(
    two: tuple[Proxy, Proxy], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    near, far = (_outcome(lambda p=proxy: _sync(p, name, args, kwargs)) for proxy in two)
    assert near == far
    near, far = (
        _outcome(lambda p=proxy: asyncio.run(_async(p, name, args, kwargs))) for proxy in two
    )
    assert near == far


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


def _sync(proxy: Proxy, name: str, args: Any, kwargs: Any) -> Any:
    result = getattr(proxy.to_sync, name)(*args, **kwargs)
    return list(result) if isinstance(result, Iterator) else result


async def _async(proxy: Proxy, name: str, args: Any, kwargs: Any) -> Any:
    result = getattr(proxy.to_async, name)(*args, **kwargs)
    if isinstance(result, AsyncIterator):
        return [each async for each in result]
    return await result
