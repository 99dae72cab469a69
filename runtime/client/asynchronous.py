"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentofn.runtime.client.answer import chunks_of, decode, error_of
from bentofn.runtime.client.base import SCHEMA, UNKEPT, HTTPClient, Patience, import_httpx
from bentofn.runtime.client.endpoint import Endpoint, read_schema
from bentofn.runtime.client.tasks import AsyncTask, ResultStatus

if TYPE_CHECKING:
    import httpx


class AsyncHTTPClient(HTTPClient):
    """A client whose methods are awaited; otherwise as
    :class:`~bentofn.runtime.client.sync.SyncHTTPClient`, with the same arguments.

    ``async with AsyncHTTPClient("http://127.0.0.1:3000") as client: await client.predict(...)``. A
    stream's method returns an asynchronous iterator, which is not awaited.
    """

    async def __aenter__(self) -> AsyncHTTPClient:
        try:
            await self._setup()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or vars(self).get("_setup_done"):
            return super().__getattr__(name)
        raise RuntimeError("Client is not set up yet, please use it as an async context manager")

    @cached_property
    def client(self) -> httpx.AsyncClient:
        """The httpx client underneath, with the service's URL as its base."""
        client: httpx.AsyncClient = import_httpx().AsyncClient(
            **self._options(), transport=self._transport()
        )
        return client

    def _transport(self) -> httpx.AsyncBaseTransport | None:
        transport: httpx.AsyncBaseTransport
        if self._app is not None:
            transport = import_httpx().ASGITransport(app=self._app)
        elif self._address.socket is not None:
            transport = import_httpx().AsyncHTTPTransport(uds=self._address.socket)
        else:
            return None
        return transport

    async def _setup(self) -> None:
        if self._setup_done:
            return
        if self._waits:
            await self.wait_until_server_ready(self._ready_timeout)
        if not self._knows_service:
            response = await self.client.get(SCHEMA, headers=UNKEPT)
            await _check(response)
            self.endpoints = read_schema(response.json())
        self._make_methods()

    async def wait_until_server_ready(self, timeout: float | None = None) -> None:
        """Wait until the service is ready.

        Args:
            timeout: Seconds; by default the client's.

        Raises:
            ServiceUnavailable: It is not ready in time.
        """
        patience = Patience(self.timeout if timeout is None else timeout)
        while True:
            if await self.is_ready(patience.left):
                return
            await asyncio.sleep(patience.next_wait())

    async def is_ready(self, timeout: float | None = None) -> bool:
        """Whether the service is ready.

        Args:
            timeout: Seconds to wait for its answer; by default the client's.
        """
        try:
            seconds = self.timeout if timeout is None else timeout
            answer = await self.client.get(self._ready_path, timeout=seconds, headers=UNKEPT)
            if answer.status_code == 404:
                answer = await self.client.get(SCHEMA, timeout=seconds, headers=UNKEPT)
            return answer.status_code == 200
        except import_httpx().TransportError:
            return False

    async def request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        """Send any request; the arguments are those of :meth:`httpx.AsyncClient.request`."""
        return await self.client.request(method, url, **kwargs)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name, with the arguments of the service's method.

        Returns:
            What gives the result when it is awaited; of a stream, an asynchronous iterator.

        Raises:
            BentoMLException: The service answered with an error; its class is that of the status.
            NotFound: There is no such endpoint.
            TypeError: The endpoint takes other arguments.
        """
        endpoint = self._endpoint(name)
        if endpoint.is_stream:
            return self._stream(endpoint, args, kwargs)
        return self._call(endpoint, args, kwargs)

    async def _call(self, endpoint: Endpoint, args: Any, kwargs: Any) -> Any:
        with self._request(endpoint, args, kwargs) as request:
            return await self._result(endpoint, await self.client.send(request, stream=True))

    async def _result(self, endpoint: Endpoint, response: httpx.Response) -> Any:
        try:
            await _check(response)
            if endpoint.returns_file:
                return await self._received(response)
            body = await response.aread()
            return decode(endpoint, body, response.headers.get("content-type", ""))
        finally:
            await response.aclose()

    async def _received(self, response: httpx.Response) -> Path:
        path = self._new_file(response)
        with path.open("wb") as file:
            async for data in response.aiter_bytes():
                file.write(data)
        return path

    async def _stream(self, endpoint: Endpoint, args: Any, kwargs: Any) -> AsyncIterator[Any]:
        with self._request(endpoint, args, kwargs) as request:
            response = await self.client.send(request, stream=True)
            try:
                await _check(response)
                chunks = chunks_of(endpoint)
                async for data in response.aiter_bytes():
                    for value in chunks.feed(data):
                        yield value
                for value in chunks.end():
                    yield value
            finally:
                await response.aclose()

    async def _submit(self, endpoint: Endpoint, /, *args: Any, **kwargs: Any) -> AsyncTask[Any]:
        with self._request(endpoint, args, kwargs, "/submit") as request:
            return await self._task(endpoint, await self.client.send(request))

    async def _task(self, endpoint: Endpoint, response: httpx.Response) -> AsyncTask[Any]:
        await _check(response)
        return AsyncTask(response.json()["task_id"], endpoint, self)

    async def _asked(
        self, method: str, endpoint: Endpoint, what: str, task_id: str
    ) -> httpx.Response:
        request = self.client.build_request(
            method, f"{endpoint.route.rstrip('/')}/{what}", params={"task_id": task_id}
        )
        return await self.client.send(request, stream=what == "get")

    async def _task_status(self, endpoint: Endpoint, task_id: str) -> ResultStatus:
        response = await self._asked("GET", endpoint, "status", task_id)
        await _check(response)
        return ResultStatus(response.json()["status"])

    async def _task_result(self, endpoint: Endpoint, task_id: str) -> Any:
        return await self._result(endpoint, await self._asked("GET", endpoint, "get", task_id))

    async def _cancel_task(self, endpoint: Endpoint, task_id: str) -> None:
        await _check(await self._asked("PUT", endpoint, "cancel", task_id))

    async def _retry_task(self, endpoint: Endpoint, task_id: str) -> AsyncTask[Any]:
        return await self._task(endpoint, await self._asked("POST", endpoint, "retry", task_id))

    async def close(self) -> None:
        """Close the connections."""
        if "client" in vars(self):
            await self.client.aclose()


async def _check(response: httpx.Response) -> None:
    if response.is_error:
        await response.aread()
        raise error_of(response.status_code, response.text)
