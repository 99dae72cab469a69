"""``self.to_async`` and ``self.to_sync``: a service's own endpoints, whatever kind they are of."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import Any


class OwnCalls:
    """The endpoints of an instance, all of them async or all of them sync.

    Args:
        instance: The instance.
        names: Its endpoints.
        is_async: Whether sync ones become async, on threads, or async ones sync.
    """

    def __init__(self, instance: Any, names: Collection[str], *, is_async: bool) -> None:
        self._instance = instance
        self._names = names
        self._turn = _to_async if is_async else _to_sync

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._names:
            raise AttributeError(f"{type(self._instance).__name__} has no endpoint {name!r}")
        return self._turn(getattr(self._instance, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the endpoint ``__call__``."""
        return self._turn(self._instance)(*args, **kwargs)


def _to_async(method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return method
    import asyncio

    if inspect.isgeneratorfunction(method):

        async def chunks(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            stream, end = method(*args, **kwargs), object()
            while (chunk := await asyncio.to_thread(next, stream, end)) is not end:
                yield chunk

        return chunks

    async def call(*args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(method, *args, **kwargs)

    return call


def _to_sync(method: Callable[..., Any]) -> Callable[..., Any]:
    import asyncio

    if inspect.iscoroutinefunction(method):

        def call(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(method(*args, **kwargs))

        return call
    if inspect.isasyncgenfunction(method):

        def chunks(*args: Any, **kwargs: Any) -> Iterator[Any]:
            loop = asyncio.new_event_loop()
            stream, end = method(*args, **kwargs), object()
            try:
                while (chunk := loop.run_until_complete(anext(stream, end))) is not end:
                    yield chunk
            finally:
                loop.run_until_complete(stream.aclose())
                loop.close()

        return chunks
    return method
