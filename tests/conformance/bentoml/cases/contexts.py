"""What a method reads and writes through its context."""

from __future__ import annotations

from pathlib import Path

import bentoml


@bentoml.service(traffic={"timeout": 2})
class Case:
    def __init__(self) -> None:
        self.done: list[str] = []

    @bentoml.api
    def reads(self, name: str, ctx: bentoml.Context) -> dict:
        return {
            "method": ctx.request.method,
            "path": ctx.request.url.path,
            "query": dict(ctx.request.query_params),
            "header": ctx.request.headers.get("x-given"),
            "metadata": ctx.request.metadata.get("x-given"),
            "cookie": ctx.request.cookies.get("crumb"),
            "name": name,
        }

    @bentoml.api
    def writes(self, status: int, context: bentoml.Context) -> dict:
        context.response.status_code = status
        context.response.headers["x-from-service"] = "yes"
        context.response.set_cookie("crumb", "rye", max_age=60)
        return {}

    @bentoml.api
    def sets_cookie(self, ctx: bentoml.Context) -> str:
        ctx.response.set_cookie("a", "1", httponly=True, secure=True, path="/x", samesite="strict")
        return "set"

    @bentoml.api
    def media_type(self, ctx: bentoml.Context) -> str:
        ctx.response.headers["content-type"] = "text/html"
        return "<p>"

    @bentoml.api
    async def body(self, ctx: bentoml.Context) -> str:
        return (await ctx.request.body()).decode()

    @bentoml.api
    def temporary(self, ctx: bentoml.Context) -> bool:
        return Path(ctx.temp_dir).is_dir()

    @bentoml.api
    def remembers(self, ctx: bentoml.Context) -> int:
        ctx.state["seen"] = ctx.state.get("seen", 0) + 1
        return ctx.state["seen"]

    @bentoml.api
    def afterwards(self, ctx: bentoml.Context) -> list[str]:
        ctx.response.background.add_task(self.done.append, "after")
        return self.done
