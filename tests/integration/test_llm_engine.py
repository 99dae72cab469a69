"""What examples/llm does with clients that leave and prompts that are too long."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bentofn
from bentofn.runtime import asgi, current

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "llm"
MODULES = ("engine", "openai_api", "transformer")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The example's modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE)
        yield SimpleNamespace(**{name: __import__(name) for name in MODULES})
        for name in MODULES:
            sys.modules.pop(name)


async def test_a_chat_whose_client_leaves_ends(example: SimpleNamespace) -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    class Endless:
        async def stream(self, prompt: str, sampling: Any) -> AsyncGenerator[Any, None]:
            try:
                while True:
                    begun.set()
                    yield example.engine.Piece("x")
                    await asyncio.sleep(0)
            finally:
                closed.set()

    class Chat:
        def __init__(self) -> None:
            self.engine = Endless()

    app = bentofn.asgi_app(example.openai_api.app, path="/v1")(bentofn.service(Chat)).to_asgi()
    current.set_current_service(app.instance)
    body = {"model": "tiny-llm", "messages": [{"role": "user", "content": "a"}]}
    text = json.dumps(body).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = asgi.Server(asgi.configure(app), ready.set)
        serving = asyncio.ensure_future(server.serve([listener]))
        await ready.wait()
        try:
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(head + b"content-length: %d\r\n\r\n" % len(text) + text)
            await asyncio.wait_for(begun.wait(), 30)
            assert not closed.is_set()
            writer.close()
            await asyncio.wait_for(closed.wait(), 30)
        finally:
            server.should_exit = True
            await serving


async def test_a_prompt_longer_than_the_model_is_continued(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    config = example.transformer.Config(max_position_embeddings=32)
    example.transformer.Transformer(config).save(tmp_path)
    engine = example.engine.CPUEngine(tmp_path)
    for length in (31, 32, 100):
        pieces = [p async for p in engine.stream("a" * length, example.engine.Sampling(5))]
        assert [piece.finished is not None for piece in pieces] == [True]
    assert example.engine.fitting("ab", 32) == [97, 98]
    assert example.engine.fitting("a" * 31 + "b", 32) == [97] * 30 + [98]
