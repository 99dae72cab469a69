"""A dependency in the same process: one instance for all that depend on it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bentofn.runtime.api import APIMethod
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.calls import chunks_of, in_thread
from bentofn.runtime.proxy.base import CLIENT_URL, find_method

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.service import Service

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
        self._executor: ThreadPoolExecutor | None = None
        for dependency in service.dependencies.values():
            dependency.get()

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result; an ``async def`` runs on a loop of its own."""
        method = find_method(self._service, name)
        result = getattr(self.instance, name)(*args, **_with_context(method, kwargs))
        if inspect.isawaitable(result):
            return _run(_awaited(result))
        return _iterated(result) if isinstance(result, AsyncIterator) else result

    def call_async(self, name: str, args: Any, kwargs: Any) -> Any:
        """What gives the result; a method that is not asynchronous runs on a thread."""
        method = find_method(self._service, name)
        bound = getattr(self.instance, name)
        named = _with_context(method, kwargs)
        if method.is_stream:
            return chunks_of(bound(*args, **named), self._threads())
        return self._result(bound, args, named)

    async def _result(self, bound: Any, args: Any, kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(bound):
            return await bound(*args, **kwargs)
        result = await in_thread(self._threads(), bound, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None:
            count = self._service.config.get("threads", 1)
            self._executor = ThreadPoolExecutor(count, thread_name_prefix=self._service.name)
        return self._executor

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

    def _application(self) -> Any:
        from bentofn.runtime.http.app import ServiceApp

        return ServiceApp(self._service, self.instance)

    def close(self) -> None:
        """End the threads."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None


def _with_context(method: APIMethod, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the running request's context, where the method takes one."""
    from bentofn.runtime.context import Context, current_context

    names = [each for each in inspect.signature(method.func).parameters if each in _CONTEXT]
    missing = [name for name in names if name not in kwargs]
    if not missing:
        return kwargs
    context = current_context.get(None) or Context({"type": "http", "headers": []}, b"", {})
    return {**kwargs, **dict.fromkeys(missing, context)}


_CONTEXT = ("ctx", "context")


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


def _iterated(stream: AsyncIterator[Any]) -> Iterator[Any]:
    """An asynchronous iterator's items, from a loop on a thread of its own."""
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
