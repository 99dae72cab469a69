"""A service that is a mounted FastAPI application: restored, behind the platform's proxy."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.snapshot.criu.binary import Criu
from tests.integration.snapshot.conftest import Platform

SERVICE = """
from contextlib import asynccontextmanager

import bentoml
from fastapi import FastAPI, WebSocket
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse

started = []


@asynccontextmanager
async def lifespan(app):
    started.append("app")
    yield


app = FastAPI(lifespan=lifespan)


class Guard(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        if request.headers.get("x-token") != "right":
            return PlainTextResponse("who are you?", 401)
        return await call_next(request)


@bentoml.asgi_app(app, path="/v1")
@bentoml.service(image=bentoml.images.Image().python_packages("fastapi"))
class Service:
    def __init__(self):
        self.word = "hello"
        started.append("instance")

    @app.get("/greet/{name}")
    def greet(self, name: str) -> dict:
        return {"said": f"{self.word} {name}", "started": started}

    @app.websocket("/talk")
    async def talk(self, websocket: WebSocket):
        await websocket.accept(subprotocol="words")
        while (text := await websocket.receive_text()) != "bye":
            await websocket.send_text(f"{self.word} {text}")
        await websocket.send_bytes(b"bye")
        await websocket.close(4001)

    @bentoml.api(examples=[{"n": 1}])
    def double(self, n: int) -> int:
        return 2 * n


Service.add_asgi_middleware(Guard)
"""

RIGHT = {"X-Token": "right"}


@pytest.mark.slow
def test_a_mounted_application_is_restored_and_talks(platform: Platform, criu: Criu) -> None:
    built = platform.build("greeter", {"service.py": SERVICE})
    platform.deploy(built.tag, "greeter", snapshot="criu", idle_timeout=0.3)
    assert platform.settled("greeter").snapshot == "criu"
    platform.wait_for_zero("greeter")
    endpoint = daemon.status(platform.home)
    assert endpoint is not None
    asyncio.run(_ask(f"http://127.0.0.1:{endpoint.port}/greeter"))


async def _ask(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{url}/v1/greet/ann", headers=RIGHT) as answer:
            assert answer.headers["X-Bentofn-Start"] == "restored"
            assert await answer.json() == {"said": "hello ann", "started": ["instance", "app"]}
        async with client.get(f"{url}/v1/greet/ann") as answer:
            assert (answer.status, await answer.text()) == (401, "who are you?")
        async with client.post(f"{url}/double", json={"n": 4}, headers=RIGHT) as answer:
            assert await answer.json() == 8
        async with client.ws_connect(f"{url}/v1/talk", protocols=["words"]) as talk:
            assert talk.protocol == "words"
            for text in ("bob", "é" * 10_000):
                await talk.send_str(text)
                assert await talk.receive_str() == f"hello {text}"
            await talk.send_str("bye")
            assert await talk.receive_bytes() == b"bye"
            await talk.receive()
            assert talk.close_code == 4001
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{url}/v1/nothing")
        assert refused.value.status == 403
