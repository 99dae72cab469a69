"""An ASGI application called by a client, without a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx

from bentofn.runtime.lifespan import Lifespan


class AppTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Runs an application on an event loop of its own thread, from its startup to its shutdown.

    Args:
        app: The ASGI application. As of httpx's own transport, an answer is passed on when it is
            whole.

    Raises:
        BentoMLException: The application does not start.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="bentofn-client", daemon=True
        )
        self._thread.start()
        self._life = Lifespan(app)
        try:
            self._run(self._life.startup())
        except BaseException:
            self._end()
            raise

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request.

        Raises:
            Exception: Whatever the application raises.
        """
        request.read()
        answer: httpx.Response = self._run(self._answer(request))
        return answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an asynchronous client, whatever its loop.

        Raises:
            Exception: Whatever the application raises.
        """
        await request.aread()
        answering = asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)
        return await asyncio.wrap_future(answering)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    def close(self) -> None:
        """Shut the application down, and end the thread."""
        try:
            self._run(self._life.shutdown())
        finally:
            self._end()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
