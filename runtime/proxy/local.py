"""A dependency in the same process: one instance for all that depend on it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bentofn.runtime.context import Context, current_context
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.calls import caller, chunks_of
from bentofn.runtime.io.inputs import Arguments
from bentofn.runtime.io.spec import EndpointSpec, build_spec
from bentofn.runtime.proxy.arguments import Parameters, checked
from bentofn.runtime.proxy.base import CLIENT_URL, find_method
from bentofn.runtime.workers import Workers

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.client.base import HTTPClient
    from bentofn.runtime.client.inprocess import AppTransport
    from bentofn.runtime.service import Service

_QUEUE_TIMEOUT = 60.0
"""Seconds for what is asked of the queue of tasks."""

_END = object()


class LocalTransport:
    """Calls the methods of an instance of its own, made now, with those that it depends on.

    Args:
        service: The service.
    """

    url = CLIENT_URL

    def __init__(self, service: Service[Any]) -> None:
        self.instance: Any = service()
        self._service = service
        self._declared = {
            name: (Parameters.of(method), build_spec(method))
            for name, method in service.apis.items()
        }
        self._workers: Workers | None = None
        self._queue: AppTransport | None = None
        for dependency in service.dependencies.values():
            dependency.get()

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result; an ``async def`` runs on a loop of its own."""
        call = self._call(name, args, kwargs)
        return _iterated(call) if call.is_stream else _waited(call())

    def call_async(self, name: str, args: Any, kwargs: Any) -> Any:
        """What gives the result; a method that is not asynchronous runs on a thread."""
        call = self._call(name, args, kwargs)
        return self._chunks(call) if call.is_stream else self._result(call)

    def _call(self, name: str, args: Any, kwargs: Any) -> _Call:
        find_method(self._service, name)
        taken, spec = self._declared[name]
        return _Call(getattr(self.instance, name), spec, taken.by_name(args, kwargs))

    async def _result(self, call: _Call) -> Any:
        args, kwargs = call.arguments()
        return await caller(call.bound, self._threads())(*args, **kwargs)

    async def _chunks(self, call: _Call) -> AsyncIterator[Any]:
        stream = await self._result(call)
        async with aclosing(chunks_of(stream, self._threads())) as chunks:
            async for chunk in chunks:
                yield chunk

    def _threads(self) -> Workers:
        if self._workers is None:
            self._workers = Workers(self._service.config.get("threads", 1), self._service.name)
        return self._workers

    async def is_ready(self, timeout: float) -> bool:
        """It is, unless its own check says that it is not."""
        check = getattr(self.instance, "__is_ready__", None)
        if check is None:
            return True
        ready = check()
        return bool(await ready if inspect.isawaitable(ready) else ready)

    def client(self) -> httpx.Client:
        """An HTTP client that calls the application around a new instance."""
        from bentofn.runtime.client.base import import_httpx
        from bentofn.runtime.client.inprocess import AppTransport

        client: httpx.Client = import_httpx().Client(
            base_url=self.url, transport=AppTransport(self._application())
        )
        return client

    def async_client(self) -> httpx.AsyncClient:
        """An asynchronous one."""
        from bentofn.runtime.client.base import import_httpx

        library = import_httpx()
        client: httpx.AsyncClient = library.AsyncClient(
            base_url=self.url, transport=library.ASGITransport(app=self._application())
        )
        return client

    def tasks(self, *, is_async: bool) -> HTTPClient:
        """A client that submits the service's tasks, which run on a loop of their own."""
        from bentofn.runtime.client.inprocess import AppTransport
        from bentofn.runtime.proxy.tasks import AsyncTasks, SyncTasks

        if self._queue is None:
            self._queue = AppTransport(self._application())
        kind = AsyncTasks if is_async else SyncTasks
        return kind(self._service, self.url, self._queue, _QUEUE_TIMEOUT)

    def _application(self) -> Any:
        from bentofn.runtime.http.app import ServiceApp

        return ServiceApp(self._service, self.instance)

    def close(self) -> None:
        """End the threads, and the queue of tasks, which keeps what waits."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        if self._workers is not None:
            self._workers.close()
            self._workers = None


@dataclass(frozen=True)
class _Call:
    """A call that is checked as it would be between two processes, when it is made.

    Args:
        bound: The method.
        spec: What it takes.
        values: The arguments by name.
    """

    bound: Callable[..., Any]
    spec: EndpointSpec
    values: Mapping[str, Any]

    @property
    def is_stream(self) -> bool:
        """Whether its result is a stream."""
        return self.spec.signature.is_stream

    def arguments(self) -> Arguments:
        """What the method is called with.

        Raises:
            InvalidArgument: The values are not what it takes.
        """
        running = current_context.get(None)
        context = running or Context({"type": "http", "headers": []}, b"", {})
        args, kwargs = checked(self.spec, self.values, context)
        name = self.spec.signature.context
        return (args, kwargs) if name is None else (args, {**kwargs, name: context})

    def __call__(self) -> Any:
        """What the method returns."""
        args, kwargs = self.arguments()
        return self.bound(*args, **kwargs)


def _waited(result: Any) -> Any:
    return _run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:
    return await result


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, in a thread that runs no loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    coroutine.close()
    raise BentoMLException("to_sync would block the event loop; await the endpoint of to_async")


def _iterated(call: _Call) -> Iterator[Any]:
    """A stream's items; those of an asynchronous one from a loop on a thread of its own."""
    stream = _waited(call())
    if not isinstance(stream, AsyncIterator):
        yield from stream
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        while True:
            item = asyncio.run_coroutine_threadsafe(_next(stream), loop).result()
            if item is _END:
                return
            yield item
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            asyncio.run_coroutine_threadsafe(close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _next(stream: AsyncIterator[Any]) -> Any:
    return await anext(stream, _END)
