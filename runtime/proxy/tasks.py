"""A task of a dependency: called as any endpoint, or submitted to its queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bentofn.runtime.client.asynchronous import AsyncHTTPClient
from bentofn.runtime.client.base import HTTPClient, TaskMethod
from bentofn.runtime.client.sync import SyncHTTPClient

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.service import Service


class SyncTasks(SyncHTTPClient):
    """A client of a service's tasks.

    Args:
        service: The service's class.
        url: The URL that its requests begin with.
        transport: What sends them.
        timeout: Seconds without a byte after which a request fails.
    """

    def __init__(
        self, service: Service[Any], url: str, transport: httpx.BaseTransport, timeout: float
    ) -> None:
        self._through = transport
        super().__init__(url, service=service, server_ready_timeout=0, timeout=timeout)

    def _transport(self) -> httpx.BaseTransport:
        return self._through


class AsyncTasks(AsyncHTTPClient):
    """As :class:`SyncTasks`, with methods that are awaited."""

    def __init__(
        self, service: Service[Any], url: str, transport: httpx.AsyncBaseTransport, timeout: float
    ) -> None:
        self._through = transport
        super().__init__(url, service=service, server_ready_timeout=0, timeout=timeout)

    def _transport(self) -> httpx.AsyncBaseTransport:
        return self._through


class TaskCalls:
    """What ``self.dependency.NAME`` is where ``NAME`` is a task.

    Args:
        name: The task's name.
        call: Calls it directly.
        client: Gives the client that submits it; of an asynchronous one everything is awaited.
    """

    def __init__(
        self, name: str, call: Callable[..., Any], client: Callable[[], HTTPClient]
    ) -> None:
        self._name = name
        self._call = call
        self._client = client
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Queue a call; returns a task, whose ``get_status``, ``get``, ``cancel`` and ``retry``
        are awaited where this is.

        Raises:
            BentoMLException: It cannot be taken now.
        """
        return self._ask(TaskMethod.submit, *args, **kwargs)

    def get_status(self, task_id: str) -> Any:
        """How far a task is, as :class:`~bentofn.runtime.client.tasks.ResultStatus`."""
        return self._ask(TaskMethod.get_status, task_id)

    def get(self, task_id: str) -> Any:
        """A task's result."""
        return self._ask(TaskMethod.get, task_id)

    def cancel(self, task_id: str) -> Any:
        """Keep a task from running, or stop it."""
        return self._ask(TaskMethod.cancel, task_id)

    def retry(self, task_id: str) -> Any:
        """Submit a task's request again; returns a task."""
        return self._ask(TaskMethod.retry, task_id)

    def _ask(self, what: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        client = self._client()
        if isinstance(client, AsyncHTTPClient):
            return _set_up_first(client, partial(self._asked, client, what, *args, **kwargs))
        return self._asked(client, what, *args, **kwargs)

    def _asked(
        self, client: HTTPClient, what: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        return what(TaskMethod(client, client._endpoint(self._name)), *args, **kwargs)


async def _set_up_first(client: AsyncHTTPClient, ask: Callable[[], Any]) -> Any:
    await client._setup()
    return await ask()
