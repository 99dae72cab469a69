"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentofn.runtime.client.answer import chunks_of, decode, error_of
from bentofn.runtime.client.base import SCHEMA, UNKEPT, HTTPClient, Patience, import_httpx
from bentofn.runtime.client.endpoint import Endpoint, read_schema
from bentofn.runtime.client.tasks import ResultStatus, Task

if TYPE_CHECKING:
    import httpx


class SyncHTTPClient(HTTPClient):
    """A client with a method for each endpoint of a service, of BentoML or of bentofn.

    ``with SyncHTTPClient("http://127.0.0.1:3000") as client: client.predict(texts=["a"])``. A
    stream's method returns an iterator, a task's has ``submit``. An endpoint whose name the client
    uses itself is ``api_<name>``.

    Args:
        url: Where the service is: ``http(s)://...``, ``tcp://host:port`` or ``unix:///path``.
        media_type: ``application/json`` to send and get arrays as JSON, too. By default they travel
            as they are where the service's ``/schema.json`` says that it takes them so.
        service: The service's class, if it is at hand: its schema is not asked for, and answers are
            of its types.
        server_ready_timeout: Seconds to wait until the service is ready; by default ``timeout``,
            and 0 to not wait.
        token: Sent as a bearer token.
        timeout: Seconds without a byte after which a request fails.
        app: An ASGI application to call instead of a server.

    Raises:
        ServiceUnavailable: It is not ready in time.
        BentoMLException: The URL is none of a service, or httpx is not installed.
    """

    def _start(self) -> None:
        try:
            self._setup()
        except BaseException:
            self.close()
            raise

    @cached_property
    def client(self) -> httpx.Client:
        """The httpx client underneath, with the service's URL as its base."""
        client: httpx.Client = import_httpx().Client(**self._options(), transport=self._transport())
        return client

    def _transport(self) -> httpx.BaseTransport | None:
        if self._app is not None:
            from bentofn.runtime.client.inprocess import AppTransport

            return AppTransport(self._app)
        if self._address.socket is None:
            return None
        transport: httpx.BaseTransport = import_httpx().HTTPTransport(uds=self._address.socket)
        return transport

    def _setup(self) -> None:
        if self._waits:
            self.wait_until_server_ready(self._ready_timeout)
        if not self._knows_service:
            response = self.client.get(SCHEMA, headers=UNKEPT)
            _check(response)
            self.endpoints = read_schema(response.json())
        self._make_methods()

    def wait_until_server_ready(self, timeout: float | None = None) -> None:
        """Wait until the service is ready.

        Args:
            timeout: Seconds; by default the client's.

        Raises:
            ServiceUnavailable: It is not ready in time.
        """
        patience = Patience(self.timeout if timeout is None else timeout)
        while not self.is_ready(patience.left):
            time.sleep(patience.next_wait())

    def is_ready(self, timeout: float | None = None) -> bool:
        """Whether the service is ready.

        Args:
            timeout: Seconds to wait for its answer; by default the client's.
        """
        try:
            seconds = self.timeout if timeout is None else timeout
            answer = self.client.get(self._ready_path, timeout=seconds, headers=UNKEPT)
            if answer.status_code == 404:
                answer = self.client.get(SCHEMA, timeout=seconds, headers=UNKEPT)
            return answer.status_code == 200
        except import_httpx().TransportError:
            return False

    def request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        """Send any request; the arguments are those of :meth:`httpx.Client.request`."""
        return self.client.request(method, url, **kwargs)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name, with the arguments of the service's method.

        Returns:
            The result: plain data, arrays, tensors, data frames, images, or the path of a file
            that lives as long as the client; an iterator of a stream's chunks.

        Raises:
            BentoMLException: The service answered with an error; its class is that of the status.
            NotFound: There is no such endpoint.
            TypeError: The endpoint takes other arguments.
        """
        endpoint = self._endpoint(name)
        if endpoint.is_stream:
            return self._stream(endpoint, args, kwargs)
        with self._request(endpoint, args, kwargs) as request:
            return self._result(endpoint, self.client.send(request, stream=True))

    def _result(self, endpoint: Endpoint, response: httpx.Response) -> Any:
        try:
            _check(response)
            if endpoint.returns_file:
                return self._received(response)
            return decode(endpoint, response.read(), response.headers.get("content-type", ""))
        finally:
            response.close()

    def _received(self, response: httpx.Response) -> Path:
        path = self._new_file(response)
        with path.open("wb") as file:
            for data in response.iter_bytes():
                file.write(data)
        return path

    def _stream(self, endpoint: Endpoint, args: Any, kwargs: Any) -> Iterator[Any]:
        with self._request(endpoint, args, kwargs) as request:
            response = self.client.send(request, stream=True)
            try:
                _check(response)
                chunks = chunks_of(endpoint)
                for data in response.iter_bytes():
                    yield from chunks.feed(data)
                yield from chunks.end()
            finally:
                response.close()

    def _submit(self, endpoint: Endpoint, /, *args: Any, **kwargs: Any) -> Task[Any]:
        with self._request(endpoint, args, kwargs, "/submit") as request:
            return self._task(endpoint, self.client.send(request))

    def _task(self, endpoint: Endpoint, response: httpx.Response) -> Task[Any]:
        _check(response)
        return Task(response.json()["task_id"], endpoint, self)

    def _asked(self, method: str, endpoint: Endpoint, what: str, task_id: str) -> httpx.Response:
        request = self.client.build_request(
            method, f"{endpoint.route.rstrip('/')}/{what}", params={"task_id": task_id}
        )
        return self.client.send(request, stream=what == "get")

    def _task_status(self, endpoint: Endpoint, task_id: str) -> ResultStatus:
        response = self._asked("GET", endpoint, "status", task_id)
        _check(response)
        return ResultStatus(response.json()["status"])

    def _task_result(self, endpoint: Endpoint, task_id: str) -> Any:
        return self._result(endpoint, self._asked("GET", endpoint, "get", task_id))

    def _cancel_task(self, endpoint: Endpoint, task_id: str) -> None:
        _check(self._asked("PUT", endpoint, "cancel", task_id))

    def _retry_task(self, endpoint: Endpoint, task_id: str) -> Task[Any]:
        return self._task(endpoint, self._asked("POST", endpoint, "retry", task_id))

    def close(self) -> None:
        """Close the connections."""
        if "client" in vars(self):
            self.client.close()

    def __enter__(self) -> SyncHTTPClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _check(response: httpx.Response) -> None:
    if response.is_error:
        response.read()
        raise error_of(response.status_code, response.text)
