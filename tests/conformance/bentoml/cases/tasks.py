"""Tasks: submitted, followed, asked for again, and stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import bentoml


@bentoml.service
class Case:
    def __init__(self) -> None:
        self.door = asyncio.Event()
        self.begun = 0

    @bentoml.task
    def double(self, n: int) -> int:
        if n < 0:
            raise bentoml.exceptions.BadInput("negative")
        return 2 * n

    @bentoml.task
    def labelled(self, ctx: bentoml.Context) -> str:
        ctx.response.status_code = 203
        ctx.response.headers["x-from-service"] = ctx.request.headers.get("x-given", "none")
        return "labelled"

    @bentoml.task
    def copy(self, ctx: bentoml.Context) -> Path:
        path = Path(ctx.temp_dir) / "copy.txt"
        path.write_text("copied")
        return path

    @bentoml.task
    def unmakable(self) -> dict:
        return {"value": object()}

    @bentoml.task
    async def waits(self) -> str:
        self.begun += 1
        await self.door.wait()
        return "done"

    @bentoml.api
    def plain(self, n: int) -> int:
        return n

    @bentoml.api
    async def doors(self, is_open: bool) -> None:
        if is_open:
            self.door.set()
        else:
            self.door.clear()
            self.begun = 0

    @bentoml.api
    async def count(self) -> int:
        return self.begun
