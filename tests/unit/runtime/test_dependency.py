from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

import bentofn
from bentofn.runtime import hooks, lifecycle
from bentofn.runtime.errors import BentoMLConfigException, BentoMLException, UserError
from bentofn.runtime.hooks import marked
from bentofn.runtime.proxy import addresses


def services() -> dict[str, Any]:
    """A diamond: the entry depends on two services that depend on a third one."""
    made: list[str] = []

    @bentofn.service
    class Base:
        def __init__(self) -> None:
            made.append("Base")
            self.secret = 1

        @bentofn.on_startup
        def begin(self) -> None:
            made.append("begin")

        @bentofn.api
        def double(self, x: int) -> int:
            return 2 * x

        @bentofn.api
        def fail(self, why: str) -> str:
            raise bentofn.exceptions.InvalidArgument(why)

        @bentofn.api
        async def count(self, n: int) -> AsyncIterator[int]:
            for i in range(n):
                yield i

        @bentofn.api
        def letters(self, text: str) -> Iterator[str]:
            yield from text

        def helper(self) -> int:
            return 1

    @bentofn.service
    class Left:
        base = bentofn.depends(Base)

        @bentofn.api
        async def left(self, x: int) -> int:
            doubled: int = await self.base.to_async.double(x)
            return doubled + 1

    @bentofn.service
    class Right:
        base = bentofn.depends(Base)

        @bentofn.api
        def right(self, x: int) -> int:
            return self.base.double(x) + 2

    @bentofn.service
    class Entry:
        left = bentofn.depends(Left)
        right = bentofn.depends(Right)
        base = bentofn.depends(Base)

        @bentofn.api
        async def both(self, x: int) -> list[int]:
            return list(await asyncio.gather(self.left.left(x), self.right.to_async.right(x)))

        @bentofn.api
        def wait(self, x: int) -> int:
            waited: int = self.left.to_sync.left(x)
            return waited

        @bentofn.api
        def fail(self, why: str) -> str:
            return self.base.fail(why)

    return {"Entry": Entry, "Left": Left, "Right": Right, "Base": Base, "made": made}


def test_a_diamond_shares_one_instance_and_runs_in_sequence_and_in_parallel() -> None:
    found = services()
    entry = found["Entry"]()

    assert asyncio.run(entry.both(3)) == [7, 8]
    assert entry.wait(3) == 7
    assert found["made"] == ["Base"]
    assert set(found["Entry"].all_services()) == {"Entry", "Left", "Right", "Base"}
    assert found["Entry"].find_dependent_by_name("Base") is found["Base"]
    with pytest.raises(BentoMLException, match="Service X not found"):
        found["Entry"].find_dependent_by_name("X")


def test_a_service_is_found_by_the_attributes_that_lead_to_it() -> None:
    found = services()
    entry = found["Entry"]
    assert entry.find_dependent_by_path("left") is found["Left"]
    assert entry.find_dependent_by_path("right.base") is found["Base"]
    assert entry.find_dependent_by_path("Base") is found["Base"]
    for path in ("middle", "left.base.x"):
        with pytest.raises(BentoMLException, match="not found"):
            entry.find_dependent_by_path(path)


def test_the_hosts_of_a_service_are_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    @bentofn.service(workers=3)
    class Many: ...

    with pytest.raises(BentoMLException, match="Service Many not found"):
        asyncio.run(Many.get_hosts())
    where = addresses.Addresses({"Many": "/run/many.sock"}, "s3cret")
    monkeypatch.setenv(addresses.VARIABLE, where.to_text())
    assert asyncio.run(Many.get_hosts()) == ["127.0.0.1:3000"] * 3


def test_streams_come_through_in_every_way_of_calling() -> None:
    base = services()["Entry"]().base

    async def collect(stream: Any) -> list[Any]:
        return [each async for each in stream]

    assert asyncio.run(collect(base.count(3))) == [0, 1, 2]
    assert asyncio.run(collect(base.to_async.letters("ab"))) == ["a", "b"]
    assert list(base.letters("ab")) == ["a", "b"]
    assert list(base.to_sync.count(2)) == [0, 1]


def test_what_is_no_endpoint_is_refused_and_exceptions_pass_unchanged() -> None:
    base = services()["Entry"]().base

    for refused in ("helper", "secret"):
        with pytest.raises(AttributeError, match=f"calling non-api method '{refused}' of Base"):
            getattr(base, refused)
    with pytest.raises(BentoMLException, match="non-api method 'helper'"):
        base.call("helper")
    with pytest.raises(bentofn.exceptions.InvalidArgument, match="too large"):
        base.fail("too large")


def test_the_declaration_itself_says_what_is_wrong_with_it() -> None:
    found = services()
    assert found["Entry"].inner.left is found["Entry"].dependencies["left"]
    with pytest.raises(AttributeError, match="read from an instance"):
        found["Entry"].inner.left.left  # noqa: B018
    with pytest.raises(ValueError, match="Must specify at least one of"):
        bentofn.depends()
    with pytest.raises(TypeError, match=r"expects a class decorated with @bentoml.service\(\)"):
        bentofn.depends(int)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="give the service's address as url="):
        bentofn.depends(deployment="iris")
    with pytest.warns(UserWarning, match="which are not asked; on= is"):
        assert bentofn.depends(found["Left"], deployment="iris").on is found["Left"]

    @bentofn.service(name="Base")
    class Namesake:
        left = bentofn.depends(found["Left"])

    with pytest.raises(BentoMLConfigException, match="Base is already defined by"):
        Namesake.all_services()


def test_the_hooks_of_dependencies_in_the_process_run_once_and_before_their_users() -> None:
    found = services()
    prepared = lifecycle.prepare_service(found["Entry"])

    assert [hook.__name__ for hook in marked(prepared.instance, "on_startup")] == ["begin"]
    hooks.run_after_restore(prepared.instance)
    assert found["made"] == ["Base"]


def test_a_request_reaches_the_dependency_and_its_error_is_told_once() -> None:
    app = lifecycle.prepare_service(services()["Entry"]).app

    async def ask() -> tuple[Any, Any]:
        await app.start()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(base_url="http://x", transport=transport) as client:
            both = await client.post("/both", json={"x": 1})
            failed = await client.post("/fail", json={"why": "nope"})
        await app.stop()
        return both, failed

    both, failed = asyncio.run(ask())
    assert both.json() == [3, 4]
    assert (failed.status_code, failed.json()) == (400, [{"error": "nope"}])
