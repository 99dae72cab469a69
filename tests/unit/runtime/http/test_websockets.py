"""Websockets of mounted applications, over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from fastapi import FastAPI, WebSocket

import bentofn
from bentofn.runtime import asgi
from bentofn.runtime.http.serving import Server

app = FastAPI()


@bentofn.service(traffic={"max_concurrency": 1})
@bentofn.asgi_app(app, path="/ws")
class Talker:
    def __init__(self) -> None:
        self.word = "and"

    @app.websocket("/echo/{name}")
    async def echo(self, websocket: WebSocket, name: str) -> None:
        await websocket.accept(subprotocol="chat")
        async for text in websocket.iter_text():
            await websocket.send_text(f"{name} {self.word} {text}")

    @bentofn.api
    def predict(self) -> int:
        return 1


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    service = Talker.to_asgi()
    config = asgi.configure(service, websockets=service.has_mounts)
    config.keep_alive = 0.2
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready = asyncio.Event()
        server = Server(config, ready.set)
        serving = asyncio.ensure_future(server.serve([listener]))
        port = listener.getsockname()[1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await ready.wait()
            yield session
        server.stop()
        await serving


async def test_a_class_view_takes_a_websocket(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect("/ws/echo/ann", protocols=["chat"]) as talk:
        assert talk.protocol == "chat"
        await talk.send_str("bob")
        assert await talk.receive_str() == "ann and bob"
    async with client.post("/predict", json={}) as answer:
        assert await answer.json() == 1


async def test_a_websocket_on_which_nobody_speaks_stays_open(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect("/ws/echo/ann", protocols=["chat"]) as talk:
        with pytest.raises(asyncio.TimeoutError):
            await talk.receive(timeout=0.6)
        await talk.send_str("bob")
        assert await talk.receive_str() == "ann and bob"


async def test_a_websocket_counts_as_a_request(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect("/ws/echo/ann", protocols=["chat"]):
        async with client.post("/predict", json={}) as answer:
            assert answer.status == 429
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/ws/echo/bob")
        assert refused.value.status == 429


@pytest.mark.parametrize("path", ["/ws/nothing", "/predict", "/"])
async def test_nothing_else_takes_one(client: aiohttp.ClientSession, path: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(path)
    assert refused.value.status == 403
