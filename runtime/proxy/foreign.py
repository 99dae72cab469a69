"""A dependency at a URL: called over HTTP, as any client calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bentofn.runtime.client import AsyncHTTPClient, SyncHTTPClient

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.service import Service

_TIMEOUT = 60.0
"""Seconds; BentoML's default of ``traffic.timeout``."""

_MARGIN = 1.01
"""How much longer a caller waits than the service may take; BentoML's number."""


class ForeignTransport:
    """Calls a service through the clients that users have too.

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

    @cached_property
    def _sync(self) -> SyncHTTPClient:
        return SyncHTTPClient(self.url, **self._options)

    @cached_property
    def _async(self) -> AsyncHTTPClient:
        return AsyncHTTPClient(self.url, **self._options)

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

    def close(self) -> None:
        """Forget the clients; those that were used are closed by the collector."""
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
