"""A dependency at a URL: called over HTTP, as any client calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bentofn.runtime.client import AsyncHTTPClient, SyncHTTPClient
from bentofn.runtime.client.base import KEPT, UNKEPT, HTTPClient

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.service import Service

_TIMEOUT = 60.0
"""Seconds; BentoML's default of ``traffic.timeout``."""

_MARGIN = 1.01
"""How much longer a caller waits than the service may take; BentoML's number."""


class ForeignTransport:
    """Calls a service through the clients that users have too.

    Until :meth:`close` is called, which is at the snapshot point, every connection is closed after
    its answer: the code that made a client may hold it, and no copy may share what it opened.

    Args:
        url: Where it answers.
        service: Its class, if it is at hand.
    """

    def __init__(self, url: str, service: Service[Any] | None) -> None:
        self.url = url
        traffic = service.config.get("traffic", {}) if service is not None else {}
        self._options: dict[str, Any] = {
            "service": service,
            "timeout": traffic.get("timeout", _TIMEOUT) * _MARGIN,
            "server_ready_timeout": 0,
        }
        self._connection = UNKEPT

    @cached_property
    def _sync(self) -> SyncHTTPClient:
        client = SyncHTTPClient(self.url, **self._options)
        client.client.headers.update(self._connection)
        return client

    @cached_property
    def _async(self) -> AsyncHTTPClient:
        client = AsyncHTTPClient(self.url, **self._options)
        client.client.headers.update(self._connection)
        return client

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result; of a stream, an iterator."""
        return self._sync.call(name, *args, **kwargs)

    def call_async(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result when it is awaited; the chunks when it is iterated over."""
        return _Pending(self._async, name, args, kwargs)

    async def is_ready(self, timeout: float) -> bool:
        """Whether its ``/readyz`` says so."""
        return await self._async.is_ready(timeout)

    def client(self) -> httpx.Client:
        """The client underneath ``to_sync``."""
        return self._sync.client

    def async_client(self) -> httpx.AsyncClient:
        """The client underneath ``to_async``."""
        return self._async.client

    def tasks(self, *, is_async: bool) -> HTTPClient:
        """A client that submits the service's tasks."""
        return self._async if is_async else self._sync

    def close(self) -> None:
        """Forget the clients if they may have kept connections; keep connections from now on."""
        made = [vars(self)[name] for name in ("_sync", "_async") if name in vars(self)]
        if self._connection is UNKEPT:
            self._connection = KEPT
            for each in made:
                each.client.headers.update(KEPT)
            return
        sync = vars(self).pop("_sync", None)
        if sync is not None:
            sync.close()
        vars(self).pop("_async", None)


class _Pending:
    """A call that is made when it is awaited or iterated over: only the service's schema, which is
    not known before, says which of the two it is."""

    def __init__(self, client: AsyncHTTPClient, name: str, args: Any, kwargs: Any) -> None:
        self._client = client
        self._call = (name, args, kwargs)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        name, args, kwargs = self._call
        await self._client._setup()
        result = self._client.call(name, *args, **kwargs)
        return result if isinstance(result, AsyncIterator) else await result

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in await self._result():
            yield chunk
