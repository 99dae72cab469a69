"""Batches that wait until a caller lets them go on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any, ClassVar

import bentoml

PATIENCE = 20.0


class Arrivals:
    """Counts the requests that have come and gone, by path."""

    came: ClassVar[Counter[str]] = Counter()
    left: ClassVar[Counter[str]] = Counter()

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.came[scope.get("path", "")] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.left[scope.get("path", "")] += 1


@bentoml.service(traffic={"timeout": PATIENCE})
class Case:
    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[str]] = []
        self.running = self.most = 0

    def _pass(self, texts: list[str]) -> None:
        self.batches.append(texts)
        if "hold" in texts:
            self.gate.wait(PATIENCE)

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=60_000)
    def items(self, texts: list[str]) -> list[str]:
        self._pass(texts)
        if "bad" in texts:
            raise ValueError("bad")
        return [text.upper() for text in texts]

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=3000)
    def slow(self, texts: list[str]) -> list[str]:
        self._pass(texts)
        if "slow" in texts:
            time.sleep(4)
        return texts

    @bentoml.api(batchable=True, max_batch_size=8)
    async def awaited(self, texts: list[str]) -> list[str]:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.to_thread(self.gate.wait, PATIENCE)
        self.running -= 1
        return texts

    @bentoml.api
    async def close(self) -> None:
        self.gate.clear()
        self.batches.clear()
        Arrivals.came.clear()
        Arrivals.left.clear()

    @bentoml.api
    async def open(self) -> None:
        self.gate.set()

    @bentoml.api
    async def counts(self) -> dict[str, Any]:
        counted = {"came": dict(Arrivals.came), "left": dict(Arrivals.left)}
        return {**counted, "batches": self.batches, "most": self.most}


Case.add_asgi_middleware(Arrivals)
