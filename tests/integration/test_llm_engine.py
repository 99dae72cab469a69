"""What examples/llm does with clients that leave and prompts that are too long, on both engines.

vLLM is a stand-in, which has its names and refusals and needs no GPU.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bentofn
from bentofn.runtime import asgi, current
from bentofn.runtime.http.serving import Server

HERE = Path(__file__).parent
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


@asynccontextmanager
async def chatting(
    example: SimpleNamespace, engine: Any, **options: Any
) -> AsyncIterator[asyncio.StreamWriter]:
    """The connection of a client whose chat a served example has been asked for."""

    class Chat:
        def __init__(self) -> None:
            self.engine = engine

    app = bentofn.asgi_app(example.openai_api.app, path="/v1")(bentofn.service(Chat)).to_asgi()
    current.set_current_service(app.instance)
    messages = [{"role": "user", "content": "a"}]
    text = json.dumps({"model": "tiny-llm", "messages": messages, **options}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(asgi.configure(app), ready.set)
        serving = asyncio.ensure_future(server.serve([listener]))
        await ready.wait()
        try:
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(head + b"content-length: %d\r\n\r\n" % len(text) + text)
            yield writer
        finally:
            server.stop()
            await serving


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

    async with chatting(example, Endless()) as writer:
        await asyncio.wait_for(begun.wait(), 30)
        assert not closed.is_set()
        writer.close()
        await asyncio.wait_for(closed.wait(), 30)


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


@pytest.fixture
def vllm(
    example: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    """What the example opens where vLLM is installed and there is a GPU."""
    monkeypatch.syspath_prepend(HERE / "stand_ins")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    example.transformer.Config(max_position_embeddings=32).write(tmp_path / "config.json")
    yield example.engine.open_engine(tmp_path)
    for name in [*sys.modules]:
        if name.partition(".")[0] == "vllm":
            del sys.modules[name]


async def whole(engine: Any, prompt: str, sampling: Any) -> tuple[str, list[str | None]]:
    pieces = [piece async for piece in engine.stream(prompt, sampling)]
    return "".join(piece.text for piece in pieces), [piece.finished for piece in pieces]


async def test_vllm_streams_what_it_generates(example: SimpleNamespace, vllm: Any) -> None:
    assert isinstance(vllm, example.engine.VLLMEngine)
    sampling = example.engine.Sampling(5, 0.7, seed=1)
    assert await whole(vllm, "abc", sampling) == ("abcab", [None, None, "length"])
    assert await whole(vllm, "abc\0", sampling) == ("abc", [None, "stop"])
    assert await whole(vllm, "", sampling) == ("", ["stop"])
    both = await asyncio.gather(*(whole(vllm, text, sampling) for text in ("ab", "cd")))
    assert [text for text, _ in both] == ["ababa", "cdcdc"]
    assert not vllm.engine.aborted.is_set()


@pytest.mark.parametrize("length", [30, 31, 32, 33, 100])
async def test_vllm_continues_a_prompt_that_is_longer_than_the_model(
    example: SimpleNamespace, vllm: Any, length: int
) -> None:
    text, finished = await whole(vllm, "a" * length, example.engine.Sampling(5))
    assert (text, finished) == ("a" * max(1, 32 - length), ["length"])


async def test_the_usage_counts_tokens_where_a_piece_holds_several(
    example: SimpleNamespace, vllm: Any
) -> None:
    request = example.openai_api.ChatRequest(
        model="tiny-llm",
        messages=[{"role": "user", "content": "abc"}],
        max_tokens=5,
        stream_options={"include_usage": True},
    )
    pieces = vllm.stream(request.prompt, request.sampling)
    *_, usage, _ = [event async for event in example.openai_api.events(request, pieces)]
    assert json.loads(usage.removeprefix("data: "))["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
    }


@pytest.mark.parametrize("streamed", [False, True])
async def test_vllm_aborts_a_chat_whose_client_leaves(
    example: SimpleNamespace, vllm: Any, streamed: bool
) -> None:
    vllm.engine.model_config = SimpleNamespace(max_model_len=10**9)
    async with chatting(example, vllm, max_tokens=10**9, stream=streamed) as writer:
        await asyncio.wait_for(vllm.engine.began.wait(), 30)
        assert not vllm.engine.aborted.is_set()
        writer.close()
        await asyncio.wait_for(vllm.engine.aborted.wait(), 30)
    assert not vllm.engine.running
