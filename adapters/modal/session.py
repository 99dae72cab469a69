"""A connection to Modal: its client, from the user's own configuration.

The client's public functions cover an app's deployment, its volumes, logs and calls. What only its
command line does (history, rolling back, an app's layout) is asked with the same requests that the
command line sends, which is why :mod:`bentofn.adapters.modal.versions` names a range.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bentofn.adapters.modal.errors import Calls
from bentofn.adapters.modal.versions import check_client

T = TypeVar("T")

CONNECTED_WITHIN = 10.0
"""Seconds until a server counts as one that is not there; the client would try for a minute."""

_PAUSES = (0.25, 0.5, 1.0)
"""Seconds before a stream is asked for again."""


class Session:
    """Modal as this user sees it. Nothing is sent before the first call.

    Raises:
        UserError: Modal's client is not installed, or a version that is not known to work.
    """

    def __init__(self) -> None:
        check_client()
        self.calls = Calls()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """Modal's ``Client``, connected.

        Raises:
            modal.exception.AuthError: There is no token.
        """
        if self._client is None:
            from modal._utils.async_utils import synchronizer

            self._client = synchronizer._translate_out(self.run(self._connect()))
        return self._client

    @property
    def environment(self) -> str:
        """The name of the Modal environment; empty for the workspace's default."""
        from modal.config import config

        return str(config.get("environment") or "")

    def ask(self, method: str, request: Any) -> Any:
        """Send one request to Modal.

        Args:
            method: The call's name, such as ``AppRollback``.
            request: Its message.

        Returns:
            The answer's message.
        """
        return self.run(self._ask(self.client, method, request))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that uses the client's inner, asynchronous objects."""
        from modal._utils.async_utils import synchronizer

        async def running() -> T:
            return await coroutine

        result: T = synchronizer.create_blocking(running)()
        return result

    async def _ask(self, client: Any, method: str, request: Any) -> Any:
        from modal._utils.async_utils import synchronizer

        inner = synchronizer._translate_in(client)
        # Since 1.6 the stub has an underscore, and without it it warns.
        stub = inner._stub if hasattr(type(inner), "_stub") else inner.stub
        return await getattr(stub, method)(request)

    async def _connect(self) -> Any:
        from modal.client import _Client
        from modal.config import config

        try:
            client = await asyncio.wait_for(_Client.from_env(), CONNECTED_WITHIN)
        except (OSError, asyncio.TimeoutError) as error:
            is_late = isinstance(error, asyncio.TimeoutError)
            why = f" within {CONNECTED_WITHIN:g} seconds" if is_late else f": {error}"
            raise ConnectionError(f"{config.get('server_url')} was not reached{why}") from error
        _note_failures(client, self.calls)
        return client


def _note_failures(client: Any, calls: Calls) -> None:
    """Have a client note what fails, since its exceptions do not say which call did."""
    unary, stream = getattr(client, "_unnoted", (client._call_unary, client._call_stream))

    @contextmanager
    def noted(method: Any) -> Iterator[None]:
        name = str(method.name).rpartition("/")[2]
        try:
            yield
        except Exception as error:
            calls.failed.append((name, error))
            raise

    async def call_unary(method: Any, *args: Any, **kwargs: Any) -> Any:
        with noted(method):
            return await unary(method, *args, **kwargs)

    async def call_stream(method: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with noted(method):
            async for each in _patiently(lambda: stream(method, *args, **kwargs)):
                yield each

    client._unnoted = unary, stream
    client._call_unary, client._call_stream = call_unary, call_stream


async def _patiently(start: Callable[[], AsyncIterator[Any]]) -> AsyncIterator[Any]:
    """A stream, which is asked for again where Modal says that there is too much to do.

    Modal's client does so itself for other calls.
    """
    from grpclib import GRPCError, Status

    for pause in (*_PAUSES, None):
        begun = False
        try:
            async for each in start():
                begun = True
                yield each
            return
        except GRPCError as error:
            if begun or pause is None or error.status != Status.RESOURCE_EXHAUSTED:
                raise
        await asyncio.sleep(pause)
