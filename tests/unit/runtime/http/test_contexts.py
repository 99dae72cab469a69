"""A service's own context: the request that the running code answers, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bentofn


def who() -> str:
    return str(Asked.context.request.headers.get("x-who", "nobody"))


@bentofn.service
class Asked:
    @bentofn.on_startup
    def start(self) -> None:
        Asked.context.state["started"] = True

    @bentofn.api
    def sync(self) -> str:
        Asked.context.response.headers["x-answered"] = "yes"
        return who()

    @bentofn.api
    async def later(self) -> str:
        return who()

    @bentofn.api
    def stream(self) -> Iterator[str]:
        yield who()
        yield who()

    @bentofn.api(batchable=True)
    def batch(self, items: list[int]) -> list[str]:
        return [who() for _ in items]

    @bentofn.api
    def state(self, ctx: bentofn.Context) -> bool:
        assert ctx.state is Asked.context.state
        return bool(ctx.state["started"])

    @bentofn.api
    def after(self, ctx: bentofn.Context) -> int:
        ctx.response.background.add_task(ctx.state.__setitem__, "after", "done")
        ctx.response.status_code = 201
        return 1


async def test_every_kind_of_method_may_ask(open_app: Any) -> None:
    async with open_app(Asked) as client:
        headers = {"x-who": "me"}
        sync = await client.post("/sync", {}, headers=headers)
        assert (sync.json if sync.text[0] == '"' else sync.text) == "me"
        assert sync.headers["x-answered"] == "yes"
        assert (await client.post("/later", {}, headers=headers)).text == "me"
        assert (await client.post("/stream", {}, headers=headers)).text == "meme"
        assert (await client.post("/batch", {"items": [1, 2]}, headers=headers)).json == ["me"] * 2
        assert (await client.post("/later", {})).text == "nobody"


async def test_the_state_lives_as_long_as_the_service(open_app: Any) -> None:
    async with open_app(Asked) as client:
        assert (await client.post("/state", {})).json is True
        after = await client.post("/after", {})
        assert (after.status, after.json) == (201, 1)
        assert Asked.context.state["after"] == "done"
