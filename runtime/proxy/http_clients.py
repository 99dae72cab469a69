"""httpx clients for the routes of a service in another process: mounted applications, for one.

They may be made and used in a service's constructor: each request reads the address, which the copy
of a process has of its own, and its connection is closed after the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import httpx

from bentofn.runtime.proxy.addresses import HEADER, MEDIA_TYPE
from bentofn.runtime.proxy.outgoing import own_headers


def sync_client(url: str, address: Callable[[], str], timeout: float) -> httpx.Client:
    """A client.

    Args:
        url: The URL that its requests begin with.
        address: Gives the path of the service's AF_UNIX socket.
        timeout: Seconds without a byte after which a request fails.
    """
    return httpx.Client(base_url=url, transport=Transport(address), timeout=timeout)


def async_client(url: str, address: Callable[[], str], timeout: float) -> httpx.AsyncClient:
    """An asynchronous client, with the arguments of :func:`sync_client`."""
    return httpx.AsyncClient(base_url=url, transport=AsyncTransport(address), timeout=timeout)


class Transport(httpx.BaseTransport):
    """Sends requests to a service in another process.

    Args:
        address: Gives the path of the service's AF_UNIX socket.
    """

    def __init__(self, address: Callable[[], str]) -> None:
        self._address = address
        self._to = lru_cache(maxsize=1)(partial(httpx.HTTPTransport, **_OPTIONS))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if _is_pickled(request):
            return httpx.Response(415, request=request)
        _mark(request)
        transport = self._to(uds=self._address())
        answer: httpx.Response = transport.handle_request(request)
        return answer


class AsyncTransport(httpx.AsyncBaseTransport):
    """As :class:`Transport`, asynchronously."""

    def __init__(self, address: Callable[[], str]) -> None:
        self._address = address
        self._to = lru_cache(maxsize=1)(partial(httpx.AsyncHTTPTransport, **_OPTIONS))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if _is_pickled(request):
            return httpx.Response(415, request=request)
        _mark(request)
        transport = self._to(uds=self._address())
        answer: httpx.Response = await transport.handle_async_request(request)
        return answer


_OPTIONS: dict[str, Any] = {
    "verify": False,  # there is no TLS on a socket of one's own, and no certificate to load
    "limits": httpx.Limits(max_keepalive_connections=0),
}


def _mark(request: httpx.Request) -> None:
    """Say where it comes from; an id and a trace that it names itself stay."""
    request.headers.pop(HEADER, None)
    for name, value in own_headers().items():
        request.headers.setdefault(name, value)


def _is_pickled(request: httpx.Request) -> bool:
    """Whether a request says that it is of the kind that services unpickle.

    None made by hand is: it may be a caller's, with headers and body, that is passed on, and with
    the secret that these clients add a service would believe it.
    """
    return any(MEDIA_TYPE in value.lower() for value in request.headers.get_list("content-type"))
