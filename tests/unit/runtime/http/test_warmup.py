from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Generator
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

import bentofn
from bentofn.runtime.errors import UserError
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.exchange import Receive, Scope, Send
from bentofn.runtime.http.warmup import _post, warm_up


@bentofn.service(path_prefix="/v1")
class Warm:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @bentofn.on_startup
    def connect(self) -> None:
        self.seen.append("startup")

    @bentofn.api(batchable=True, examples=[{"texts": ["a"]}, {"texts": ["b", "c"]}])
    def embed(self, texts: list[str]) -> list[int]:
        self.seen.append(texts)
        return [1] * len(texts)

    @bentofn.api(examples=[{"root": "x"}])
    async def shout(self, text: str, /) -> str:
        self.seen.append(text)
        await asyncio.to_thread(len, text)
        return text

    @bentofn.api(examples=[{"root": [1, 2]}])
    def stream(self, numbers: list[int], /) -> Generator[str, None, None]:
        self.seen.append(numbers)
        yield "x"

    @bentofn.api
    def cold(self) -> None:
        self.seen.append("cold")


def test_every_example_is_answered_and_nothing_is_left() -> None:
    app = Warm.to_asgi()
    before = threading.active_count()
    assert warm_up(app) == ["/embed", "/shout", "/stream"]
    assert app.instance.seen == [["a"], ["b", "c"], "x", [1, 2]]  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert not app.ready


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has a GPU and torch's CUDA graphs."""
    monkeypatch.setitem(sys.modules, "torch._inductor.cudagraph_trees", ModuleType("trees"))
    monkeypatch.setitem(sys.modules, "torch.cuda", cuda := ModuleType("cuda"))
    cuda.is_initialized = lambda: True  # type: ignore[attr-defined]


@bentofn.service
class Recorded:
    """As torch does, it runs at a thread's first call, records at the second, and replays."""

    def __init__(self) -> None:
        self.of_thread = threading.local()

    @bentofn.api(examples=[{}])
    def calls(self) -> int:
        self.of_thread.calls = getattr(self.of_thread, "calls", 0) + 1
        return int(self.of_thread.calls)


async def served(app: ServiceApp) -> int:
    """What it answers to a request once it is started; it is stopped again."""
    await app.start()
    try:
        return int((await _post(app, "/calls", b"{}", "application/json"))[1])
    finally:
        await app.stop()


def test_no_request_waits_for_cuda_graphs_to_be_recorded(graphs: None) -> None:
    app, before = Recorded.to_asgi(), threading.active_count()
    warm_up(app)
    assert asyncio.run(served(app)) == 3
    assert asyncio.run(served(app)) == 4  # as after it has slept
    app.end_threads()
    assert threading.active_count() == before


def test_where_nothing_is_on_a_gpu_no_thread_is_kept(
    graphs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["torch.cuda"], "is_initialized", lambda: False)
    app, before = Recorded.to_asgi(), threading.active_count()
    warm_up(app)
    assert threading.active_count() == before
    assert asyncio.run(served(app)) == 1


async def test_a_warmed_application_counts_from_zero() -> None:
    app = Warm.to_asgi()
    await asyncio.to_thread(warm_up, app)
    await app.start()
    try:
        assert app.admission.metrics is not None
        assert "request_total{" not in app.admission.metrics.render()
    finally:
        await app.stop()


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"n": "many"}, r"\{'n': 'many'\} of Picky\.check \(/check\) is answered with 400"),
        ({"n": -1}, r"is answered with 500"),
    ],
)
def test_an_example_that_is_not_answered(example: dict[str, Any], message: str) -> None:
    @bentofn.service
    class Picky:
        @bentofn.api(examples=[example])
        def check(self, n: int) -> float:
            return float(n) ** 0.5 if n >= 0 else 1 / 0

    before = threading.active_count()
    with pytest.raises(UserError, match=message):
        warm_up(Picky.to_asgi())
    assert threading.active_count() == before


def test_an_example_may_take_long_and_a_request_may_not() -> None:
    @bentofn.service(traffic={"timeout": 0.01})
    class Slow:
        @bentofn.api(examples=[{"seconds": 0.1}])
        async def rest(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    app = Slow.to_asgi()
    warm_up(app)

    async def request(scope: Scope, receive: Receive, send: Send) -> None:
        await app.answer({**scope, "extensions": {}}, receive, send)

    async def ask() -> int:
        await app.start()
        try:
            body = b'{"seconds": 30}'
            asker = cast("ServiceApp", SimpleNamespace(answer=request))
            return (await _post(asker, "/rest", body, "application/json"))[0]
        finally:
            await app.stop()

    assert asyncio.run(ask()) == 504
