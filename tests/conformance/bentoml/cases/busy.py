"""One request at a time; others are refused. The service is not ready meanwhile."""

from __future__ import annotations

import asyncio

import bentoml


@bentoml.service(traffic={"max_concurrency": 1})
class Case:
    def __init__(self) -> None:
        self.is_free = asyncio.Event()
        self.is_free.set()

    @bentoml.api
    async def waits(self, seconds: float) -> str:
        self.is_free.clear()
        await asyncio.sleep(seconds)
        self.is_free.set()
        return "done"

    def __is_ready__(self) -> bool:
        return self.is_free.is_set()
