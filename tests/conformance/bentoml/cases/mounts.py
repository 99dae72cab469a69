"""Applications beside a service's methods: their order, their prefixes, the user's middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

events: list[str] = []


async def show(request: Request) -> Response:
    scope = request.scope
    shown = {key: scope[key] for key in ("path", "root_path", "path_params")}
    state = getattr(request.state, "key", None)
    return JSONResponse({**shown, "events": events, "state": state})


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"

    return StreamingResponse(pieces(), media_type="text/event-stream")


async def fail(request: Request) -> Response:
    raise RuntimeError("on purpose")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    events.append("application")
    yield {"key": "value"}


web = Starlette(
    routes=[
        Route("/", show),
        Route("/hello", show),
        Route("/livez", show),
        Route("/docs.json", show),
        Route("/items/{item:int}", show, methods=["PUT"]),
        Route("/stream", stream),
        Route("/fail", fail),
        Mount("/inner", routes=[Route("/x", show)]),
    ],
    lifespan=lifespan,
)


async def raw(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        text = f"{scope['method']} {scope['path']} {scope['root_path']}"
        await PlainTextResponse(text)(scope, receive, send)


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    where = f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} {environ['QUERY_STRING']}"
    return [where.encode(), environ["wsgi.input"].read()]


class Guard(BaseHTTPMiddleware):
    def __init__(self, app: Any, name: str) -> None:
        super().__init__(app)
        self.name = name

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        if request.query_params.get("refuse") == self.name:
            return PlainTextResponse(f"{self.name} refuses", 401)
        response: Response = await call_next(request)
        response.headers["X-From-Service"] = response.headers.get("X-From-Service", "") + self.name
        return response


@bentoml.asgi_app(raw, path="/raw")
@bentoml.service(name="mounts")
@bentoml.asgi_app(web, path="/", name="web")
class Case:
    def __init__(self) -> None:
        events.append("instance")

    @bentoml.on_startup
    def up(self) -> None:
        events.append("startup")

    @bentoml.api
    def hello(self, name: str = "you") -> str:
        return f"Hello, {name}!"

    @bentoml.api(route="/models/{model}/size")
    def size(self, ctx: bentoml.Context) -> dict[str, str]:
        return dict(ctx.request.path_params)


Case.mount_wsgi_app(wsgi, path="/wsgi")
Case.add_asgi_middleware(Guard, name="outer")
Case.add_asgi_middleware(Guard, name="inner")
