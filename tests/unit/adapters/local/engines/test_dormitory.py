"""Host memory for what sleeps."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from bentofn.adapters.local.engines import EngineRefused
from bentofn.adapters.local.engines.checkpointed.dormitory import LIMIT, Dormitory
from bentofn.adapters.local.engines.checkpointed.sleeper import Sleeper
from bentofn.adapters.local.isolation.policy import Tenancy
from bentofn.runtime.errors import UserError


async def sleeper(name: str, memory: int) -> Sleeper:
    """A process of which nothing more is known."""
    process = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    wire, _ = socket.socketpair()
    exit_ = asyncio.ensure_future(process.wait())
    return Sleeper(name, process.pid, exit_, wire, Tenancy(None), ("0",), memory)


@pytest.fixture
def dormitory(monkeypatch: pytest.MonkeyPatch) -> Dormitory:
    monkeypatch.setenv(LIMIT, "100")
    return Dormitory()


async def test_room_is_made_before_the_memory_is_taken(dormitory: Dormitory) -> None:
    old, new = await sleeper("old", 40), await sleeper("new", 40)
    for each in (old, new):
        dormitory.put(each)
    async with dormitory.room(60):
        assert not old.lives
        assert dormitory.sleepers() == [new]
    await dormitory.close()
    assert not new.lives


async def test_those_that_come_at_once_have_room_together_or_are_refused(
    dormitory: Dormitory,
) -> None:
    async with AsyncExitStack() as coming:
        await coming.enter_async_context(dormitory.room(60))
        with pytest.raises(EngineRefused, match="too little host memory"):
            await coming.enter_async_context(dormitory.room(60))
        await coming.enter_async_context(dormitory.room(40))
    async with dormitory.room(100):
        pass
    await dormitory.close()


def test_a_limit_that_is_no_size_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "lots")
    with pytest.raises(UserError, match=f"{LIMIT} is 'lots', which is no size"):
        Dormitory()
