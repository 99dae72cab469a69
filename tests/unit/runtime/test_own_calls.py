from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

import bentofn


@bentofn.service
class Kinds:
    @bentofn.api
    def sync(self, a: int, b: int = 1) -> list[int]:
        return [a, b, threading.get_ident()]

    @bentofn.api
    async def later(self, a: int) -> int:
        await asyncio.sleep(0)
        return a

    @bentofn.api
    def stream(self, n: int) -> Iterator[int]:
        yield from range(n)

    @bentofn.api
    async def later_stream(self, n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    @bentofn.api
    async def both(self) -> list[int]:
        found = await asyncio.gather(self.to_async.later(1), self.to_async.sync(2))  # type: ignore[attr-defined]
        return [found[0], *found[1]]

    def helper(self) -> None: ...


async def test_every_endpoint_can_be_awaited() -> None:
    calls = Kinds().to_async  # type: ignore[attr-defined]
    first, second, thread = await calls.sync(3, b=4)
    assert (first, second, thread != threading.get_ident()) == (3, 4, True)
    assert await calls.later(5) == 5
    assert [chunk async for chunk in calls.stream(3)] == [0, 1, 2]
    assert [chunk async for chunk in calls.later_stream(3)] == [0, 1, 2]
    assert (await Kinds().both())[:3] == [1, 2, 1]


def test_every_endpoint_can_be_called() -> None:
    calls = Kinds().to_sync  # type: ignore[attr-defined]
    assert calls.sync(3)[:2] == [3, 1]
    assert calls.later(5) == 5
    assert list(calls.stream(3)) == list(calls.later_stream(3)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["helper", "missing", "__dict__x"])
def test_only_endpoints_are_called(name: str) -> None:
    with pytest.raises(AttributeError, match="Kinds has no endpoint"):
        getattr(Kinds().to_sync, name)  # type: ignore[attr-defined]


@bentofn.service
@dataclass(frozen=True)
class Frozen:
    value: int = 3


class Slots:
    __slots__ = ()


def test_a_class_may_take_no_attributes() -> None:
    assert Frozen().bento_service is Frozen  # type: ignore[attr-defined]
    assert isinstance(bentofn.service(Slots)(), Slots)
