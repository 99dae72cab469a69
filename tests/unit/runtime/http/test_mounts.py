"""Applications that a service mounts, in BentoML's order of routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import bentofn
from bentofn.runtime.errors import UserError
from bentofn.runtime.http.exchange import Exchange, text_reply
from bentofn.runtime.service import Service
from tests.unit.runtime.http.conftest import OpenApp


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application of nobody's framework."""
    text = f"{scope['method']} {scope['path']} below {scope['root_path']}"
    await PlainTextResponse(text)(scope, receive, send)


def web(*paths: str) -> Starlette:
    async def answer(request: Request) -> Response:
        return JSONResponse({"path": request.url.path, "params": request.path_params})

    return Starlette(routes=[Route(path, answer) for path in paths])


def service(**options: Any) -> Service[Any]:
    @bentofn.service(name="host", **options)
    class Host:
        @bentofn.api
        def predict(self, n: int) -> int:
            return n + 1

    return Host


async def test_a_plain_application_answers_everything_below_its_path(open_app: OpenApp) -> None:
    host = service(path_prefix="/v9")
    host.mount_asgi_app(echo, path="/raw/")
    async with open_app(host) as client:
        answer = await client.request("PUT", "/v9/raw/a/b")
        assert (answer.status, answer.text) == (200, "PUT /v9/raw/a/b below /v9/raw")
        assert "server" not in answer.headers
        assert (await client.get("/v9/raw")).headers["location"] == "./raw/"
        assert (await client.post("/v9/predict", {"n": 1})).json == 2


async def test_the_service_comes_first_and_its_page_last(open_app: OpenApp) -> None:
    host = service()
    host.mount_asgi_app(web("/", "/predict", "/readyz", "/docs.json", "/only/{name}"))
    async with open_app(host) as client:
        assert (await client.post("/predict", {"n": 1})).json == 2
        assert (await client.get("/readyz")).text == "\n"
        for path in ("/", "/docs.json", "/predict"):
            assert (await client.get(path)).json["path"] == path
        assert (await client.get("/only/this")).json["params"] == {"name": "this"}


async def test_one_of_starlette_answers_only_where_it_has_a_route(open_app: OpenApp) -> None:
    host = service()
    host.mount_asgi_app(web("/first"))
    host.mount_asgi_app(web("/second"), path="/")
    async with open_app(host) as client:
        assert (await client.get("/second")).status == 200
        assert (await client.get("/third")).text == "Not Found"
        assert (await client.get("/second/")).status == 307
        wrong = await client.request("DELETE", "/first")
        assert (wrong.status, set(wrong.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
        assert (await client.get("/")).headers["content-type"].startswith("text/html")


async def test_a_page_of_the_service_is_not_hidden_by_an_application_without_it(
    open_app: OpenApp,
) -> None:
    host = service()
    host.mount_asgi_app(web("/first"))
    async with open_app(host) as client:
        assert "openapi" in (await client.get("/docs.json")).json
        assert (await client.get("/predict")).status == 405


async def test_methods_are_views_of_fastapi(open_app: OpenApp) -> None:
    app = FastAPI()

    @bentofn.service
    @bentofn.asgi_app(app, path="/v1")
    class Greeter:
        def __init__(self) -> None:
            self.greeting = "hello"

        @app.get("/greet/{name}")
        def greet(self, name: str, loud: bool = False) -> dict[str, str]:
            return {"said": f"{self.greeting} {name.upper() if loud else name}"}

        @app.post("/set", status_code=201)
        async def set(self, greeting: str) -> str:
            self.greeting = greeting
            return Greeter.context.request.url.path

    async with open_app(Greeter) as client:
        assert (await client.get("/v1/greet/ann?loud=1")).json == {"said": "hello ANN"}
        made = await client.request("POST", "/v1/set?greeting=hi")
        assert (made.status, made.json) == (201, "/v1/set")
        assert (await client.get("/v1/greet/bob")).json == {"said": "hi bob"}
        parameters = (await client.get("/v1/openapi.json")).json["paths"]["/greet/{name}"]["get"]
        assert [each["name"] for each in parameters["parameters"]] == ["name", "loud"]
        text = (await client.get("/metrics")).text
        assert 'request_total{endpoint="/v1/greet/{name}",http_response_code="200"' in text


async def test_applications_start_after_the_instance_and_stop_before_it(open_app: OpenApp) -> None:
    happened: list[str] = []

    def lifespan(name: str) -> Any:
        @asynccontextmanager
        async def context(app: Starlette) -> AsyncIterator[None]:
            happened.append(f"start {name}")
            yield
            happened.append(f"stop {name}")

        return context

    late = Starlette(lifespan=lifespan("late"))

    @bentofn.asgi_app(Starlette(lifespan=lifespan("early")), path="/early")
    @bentofn.service
    @bentofn.asgi_app(late, path="/late")
    class Hosting:
        def __init__(self) -> None:
            happened.append("made")

        @bentofn.on_startup
        def up(self) -> None:
            happened.append("up")
            late.add_route("/new", web("/").routes[0].endpoint)  # type: ignore[attr-defined]

        @bentofn.on_shutdown
        def down(self) -> None:
            happened.append("down")

    async with open_app(Hosting) as client:
        assert (await client.get("/late/new")).status == 200
    starts = ["made", "up", "start late", "start early"]
    assert happened == [*starts, "stop early", "stop late", "down"]


async def test_an_application_has_the_state_that_its_lifespan_gives(open_app: OpenApp) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"model": "loaded"}

    async def answer(request: Request) -> Response:
        return PlainTextResponse(request.state.model)

    host = service()
    host.mount_asgi_app(Starlette(routes=[Route("/model", answer)], lifespan=lifespan))
    async with open_app(host) as client:
        assert (await client.get("/model")).text == "loaded"


async def test_a_wsgi_application_stands_outside_of_the_prefix(open_app: OpenApp) -> None:
    def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode(), environ["wsgi.input"].read()]

    host = service(path_prefix="/v9")
    host.mount_wsgi_app(wsgi, path="/old")
    async with open_app(host) as client:
        assert (await client.request("POST", "/old/a", b"b")).text == "/ab"


async def test_limits_hold_for_mounted_applications_too(open_app: OpenApp) -> None:
    host = service(traffic={"timeout": 0.05})

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        while True:
            await receive()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("on purpose")

    host.mount_asgi_app(slow, path="/slow")
    host.mount_asgi_app(broken, path="/broken")
    async with open_app(host) as client:
        assert (await client.get("/slow/x")).status == 504
        assert (await client.get("/broken/x")).status == 500


async def test_the_users_middleware_wraps_everything_the_first_outermost(open_app: OpenApp) -> None:
    class Tagging(BaseHTTPMiddleware):
        def __init__(self, app: Any, tag: str) -> None:
            super().__init__(app)
            self.tag = tag

        async def dispatch(self, request: Request, call_next: Any) -> Response:
            if "refuse" in request.headers:
                return PlainTextResponse(f"{self.tag} says no", 401)
            response: Response = await call_next(request)
            seen = response.headers.get("x-seen", "")
            response.headers["x-seen"] = self.tag + seen
            return response

    host = service()
    host.add_asgi_middleware(Tagging, tag="a")
    host.add_asgi_middleware(Tagging, tag="b")
    host.mount_asgi_app(echo, path="/raw")
    async with open_app(host) as client:
        for path in ("/readyz", "/raw/x", "/nothing"):
            assert (await client.get(path)).headers["x-seen"] == "ab"
        assert (await client.post("/predict", {"n": 1})).headers["x-seen"] == "ab"
        refused = await client.get("/readyz", headers={"refuse": "1"})
        assert (refused.status, refused.text) == (401, "a says no")


async def test_routes_may_have_parameters(open_app: OpenApp) -> None:
    @bentofn.service
    class Routed:
        @bentofn.api(route="/items/{item:int}/price")
        def price(self, ctx: bentofn.Context) -> int:
            item: int = ctx.request.path_params["item"]
            return item * 2

        @bentofn.api(route="/items/7/price")
        def seven(self) -> str:
            return "seven"

    async with open_app(Routed) as client:
        assert (await client.post("/items/21/price", {})).json == 42
        assert (await client.post("/items/7/price", {})).text == "seven"
        assert (await client.post("/items/x/price", {})).status == 404
        assert (await client.get("/items/21/price")).headers["allow"] == "POST"
        assert 'endpoint="/items/{item:int}/price"' in (await client.get("/metrics")).text


class Extras:
    def __init__(self, *routes: tuple[str, str]) -> None:
        self.routes = dict.fromkeys(routes, self._answer)
        self.running = False

    async def _answer(self, exchange: Exchange) -> None:
        await exchange.reply(text_reply(200, f"running: {self.running}"))

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False


async def test_parts_of_the_runtime_add_routes(open_app: OpenApp) -> None:
    extras = Extras(("GET", "/predict/status"))
    async with open_app(service()) as client:
        await client.app.stop()
        client.app.add(extras)
        await client.app.start()
        assert (await client.get("/predict/status")).text == "running: True"
        assert (await client.post("/predict/status")).headers["allow"] == "GET"
        with pytest.raises(UserError, match="/predict is needed"):
            client.app.add(Extras(("POST", "/predict")))
    assert not extras.running
