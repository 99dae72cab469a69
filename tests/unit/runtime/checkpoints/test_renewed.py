from __future__ import annotations

import asyncio
import random
from typing import Any

from bentofn.runtime.checkpoints.identity import Identity, Watch
from bentofn.runtime.checkpoints.renewed import Renewed
from bentofn.runtime.hooks import after_restore


class Dice:
    def __init__(self) -> None:
        self.own = random.Random(7)
        self.restored = 0

    @after_restore
    async def count(self) -> None:
        await asyncio.sleep(0.01)
        self.restored += 1


def test_all_requests_after_a_restore_wait_until_its_hooks_have_run() -> None:
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
