"""Calling a service's methods: async ones on the loop, sync ones on the service's threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from bentofn.runtime.workers import Workers

_END = object()


async def in_thread(workers: Workers, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a function on a thread, with the caller's context variables."""
    return await workers.run(partial(contextvars.copy_context().run, call, *args, **kwargs))


def caller(method: Callable[..., Any], workers: Workers) -> Callable[..., Awaitable[Any]]:
    """A function that awaits a bound method of a service, whatever its kind.

    A method that makes a generator is called at once: its body runs only as it is iterated.
    """
    if inspect.iscoroutinefunction(method):
        return method
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):

        async def make(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return make

    async def call(*args: Any, **kwargs: Any) -> Any:
        result = await in_thread(workers, method, *args, **kwargs)
        # Not inspect's: it asks an abstract class, which takes longer than a short method.
        return await result if hasattr(result, "__await__") else result

    return call


def is_stream(kind: type) -> bool:
    """Whether results of a type are to be sent chunk by chunk."""
    return issubclass(kind, (Iterator, AsyncIterator))


async def chunks_of(stream: Any, workers: Workers) -> AsyncGenerator[Any, None]:
    """Iterate over what an endpoint streams; closing this closes the endpoint's generator."""
    if hasattr(stream, "__aiter__"):
        try:
            async for chunk in stream:
                yield chunk
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()
        return
    iterator: Iterator[Any] = iter(stream)
    step: asyncio.Future[Any] | None = None
    try:
        while True:
            step = asyncio.ensure_future(in_thread(workers, next, iterator, _END))
            chunk = await asyncio.shield(step)
            if chunk is _END:
                return
            yield chunk
    finally:
        # A generator cannot be closed while a thread runs it.
        if step is not None and not step.done():
            await asyncio.wait([step])
        if hasattr(iterator, "close"):
            await in_thread(workers, iterator.close)
