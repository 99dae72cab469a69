"""A dependency as the code sees it that declares it: its endpoints, and nothing else of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from bentofn.runtime.api import APIMethod
from bentofn.runtime.errors import BentoMLException

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.client.base import HTTPClient
    from bentofn.runtime.service import Service

CLIENT_URL = "http://127.0.0.1:3000"
"""What a service reached otherwise than by a URL is called in URLs; as in BentoML."""


class Transport(Protocol):
    """How the endpoints of a service are called."""

    url: str

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result; of a stream, an iterator that has not begun."""

    def call_async(self, name: str, args: Any, kwargs: Any) -> Any:
        """What gives the result when it is awaited; of a stream, an asynchronous iterator."""

    async def is_ready(self, timeout: float) -> bool:
        """Whether the service answers."""

    def client(self) -> httpx.Client:
        """An HTTP client for the service's routes."""

    def async_client(self) -> httpx.AsyncClient:
        """An asynchronous one."""

    def tasks(self, *, is_async: bool) -> HTTPClient:
        """A client that submits the service's tasks."""

    def close(self) -> None:
        """Close what calls have opened; later calls open anew."""


class Proxy:
    """A service that another depends on.

    ``proxy.predict(x)`` calls the endpoint as the service declares it: an ``async def`` is awaited,
    a generator iterated over. Of :attr:`to_async` every endpoint is asynchronous, of
    :attr:`to_sync` none. What is no endpoint is refused, in one process as between two.

    Args:
        service: Its class, if it is at hand.
        transport: How it is called.
    """

    def __init__(self, service: Service[Any] | None, transport: Transport) -> None:
        self.bento_service = service
        self.transport = transport
        self.to_async = AsyncCalls(service, transport)
        self.to_sync = SyncCalls(service, transport)

    @property
    def client_url(self) -> str:
        """The URL that :attr:`to_sync`'s ``client`` takes for the service's."""
        return self.transport.url

    async def is_ready(self, timeout: float = 30) -> bool:
        """Whether the service answers.

        Args:
            timeout: Seconds to wait for its answer.
        """
        return await self.transport.is_ready(timeout)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name.

        Raises:
            BentoMLException: There is no such endpoint, or the service's class is not at hand.
        """
        if self.bento_service is None:
            raise BentoMLException(
                "The proxy is not callable when the service is not provided. Please use "
                "`.to_async` or `.to_sync` property."
            )
        return self._calls(self.bento_service, name).call(name, *args, **kwargs)

    def _calls(self, service: Service[Any], name: str) -> Calls:
        """The way in which an endpoint is declared."""
        return self.to_async if _is_async(find_method(service, name)) else self.to_sync

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call("__call__", *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        service = vars(self).get("bento_service")
        if name.startswith("__") or service is None or name not in service.apis:
            raise AttributeError(_no_endpoint(name, service))
        return getattr(self._calls(service, name), name)

    async def close(self) -> None:
        """Close what calls have opened; later calls open anew."""
        self.transport.close()


class Calls:
    """The endpoints of a service, called in one way."""

    def __init__(self, service: Service[Any] | None, transport: Transport) -> None:
        self._service = service
        self._transport = transport

    def __getattr__(self, name: str) -> Callable[..., Any]:
        service = vars(self).get("_service")
        known = service is None or name in service.apis
        if name.startswith("_") or not known:
            raise AttributeError(_no_endpoint(name, service))
        call = partial(self.call, name)
        # Of a service whose class is not at hand any endpoint may be one.
        if service is not None and not service.apis[name].is_task:
            return call
        from bentofn.runtime.proxy.tasks import TaskCalls

        return TaskCalls(name, call, self.tasks)

    def tasks(self) -> HTTPClient:
        """A client that submits the service's tasks."""
        raise NotImplementedError

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name."""
        raise NotImplementedError


class SyncCalls(Calls):
    """``to_sync``: waits for results, iterates over streams."""

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name; of a stream, an iterator."""
        return self._transport.call(name, args, kwargs)

    def tasks(self) -> HTTPClient:
        """A client that submits the service's tasks."""
        return self._transport.tasks(is_async=False)

    @property
    def client(self) -> httpx.Client:
        """An httpx client for the service's routes; it connects when it is first used."""
        return self._transport.client()


class AsyncCalls(Calls):
    """``to_async``: what it returns is awaited, or iterated over with ``async for``."""

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name; of a stream, an asynchronous iterator."""
        return self._transport.call_async(name, args, kwargs)

    def tasks(self) -> HTTPClient:
        """A client that submits the service's tasks; it is awaited."""
        return self._transport.tasks(is_async=True)

    @property
    def client(self) -> httpx.AsyncClient:
        """An asynchronous httpx client for the service's routes."""
        return self._transport.async_client()


def find_method(service: Service[Any], name: str) -> APIMethod:
    """An endpoint by its name.

    Raises:
        BentoMLException: There is none.
    """
    method = service.apis.get(name)
    if method is None:
        raise BentoMLException(_no_endpoint(name, service))
    return method


def _is_async(method: APIMethod) -> bool:
    func = inspect.unwrap(method.func)
    return inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)


def _no_endpoint(name: str, service: Service[Any] | None) -> str:
    if service is None:
        return f"the service at a URL has no {name!r} by itself; use to_async or to_sync"
    return (
        f"calling non-api method {name!r} of {service.name} is not allowed: a service's other "
        "methods and attributes are not there where it runs by itself"
    )
