from __future__ import annotations

import asyncio
import ctypes
import os
import random
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bentofn.runtime.checkpoints.identity import Identity, Watch
from bentofn.runtime.checkpoints.renewed import Renewed
from bentofn.runtime.hooks import after_restore
from bentofn.runtime.renew.clocks import _set_on as set_on
from bentofn.runtime.renew.clocks import find_clocks


class Broken:
    @after_restore
    def connect(self) -> None:
        raise ValueError("no such database")


class Dice:
    def __init__(self) -> None:
        self.own = random.Random(7)
        self.restored = 0

    @after_restore
    async def count(self) -> None:
        await asyncio.sleep(0.01)
        self.restored += 1


def test_all_requests_after_a_restore_wait_until_its_hooks_have_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is renewed stays so: other tests need libuuid's as it was.
    monkeypatch.setattr(uuid, "_generate_time_safe", getattr(uuid, "_generate_time_safe", None))
    dice, identities, clock = Dice(), ["before"], [0.0]
    seen: list[tuple[int, float]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append((dice.restored, dice.own.random()))

    async def ask(times: int, kind: str = "http") -> None:
        await asyncio.gather(*(renewed({"type": kind}, app, app) for _ in range(times)))

    def watch() -> Watch:
        return Watch(lambda: Identity(identities[-1], ""), lambda: clock[-1])

    renewed = Renewed(app, dice, watch)
    asyncio.run(ask(1, "lifespan"))
    asyncio.run(ask(2))
    drawn = random.Random(7)
    assert seen == [(0, drawn.random()), (0, drawn.random())]
    identities.append("after")
    clock.append(60.0)
    asyncio.run(ask(3))
    assert [restored for restored, _ in seen[2:]] == [1, 1, 1]
    assert not {value for _, value in seen[2:]} & {drawn.random() for _ in range(3)}
    asyncio.run(ask(1))
    assert seen[-1][0] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set the clock of a process on")
@pytest.mark.skipif(not find_clocks(), reason="this kernel has no time namespaces")
def test_its_clock_goes_on_and_its_hooks_run_once() -> None:
    """When a process was started is told by its clock, which is set on."""
    dice, clock = Dice(), [0.0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def serve() -> None:
        renewed = Renewed(app, dice, lambda: Watch(clock=lambda: clock[-1]))
        await renewed({"type": "lifespan"}, app, app)
        before = time.monotonic()
        set_on(-100.0, ctypes.CDLL(None, use_errno=True))  # stood still, as in a restored process
        for _ in range(3):
            clock.append(clock[-1] + 60.0)
            await renewed({"type": "http"}, app, app)
        assert dice.restored == 1
        assert time.monotonic() > before

    assert _status_of(serve) == 0


def test_a_process_whose_hook_fails_after_a_restore_ends_and_says_why(
    capfd: pytest.CaptureFixture[str],
) -> None:
    identities, clock = ["before"], [0.0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    def watch() -> Watch:
        return Watch(lambda: Identity(identities[-1], ""), lambda: clock[-1])

    async def serve() -> None:
        renewed = Renewed(app, Broken(), watch)
        await renewed({"type": "lifespan"}, app, app)
        identities.append("after")
        clock.append(60.0)
        await renewed({"type": "http"}, app, app)

    assert _status_of(serve) == 1
    said = capfd.readouterr().err
    assert "the after_restore hook Broken.connect" in said
    assert "no such database" in said


def _status_of(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """The exit status of a process that does this; 2 where it raises."""
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(main())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
