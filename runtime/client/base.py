"""What the clients have in common: where the service is, its endpoints, and their methods."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bentofn.runtime.client.answer import file_name
from bentofn.runtime.client.arrays import ACCEPT
from bentofn.runtime.client.endpoint import Endpoint, endpoints_of
from bentofn.runtime.client.message import JSON, Message, compose
from bentofn.runtime.errors import (
    BentoMLException,
    MissingDependencyException,
    NotFound,
    ServiceUnavailable,
)
from bentofn.runtime.io.binary import NPY
from bentofn.runtime.trace_context import trace_headers

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.service import Service

_READY = "/readyz"
SCHEMA = "/schema.json"
"""The one page that is not below a service's ``path_prefix``."""

_FIRST_WAIT, _LONGEST_WAIT = 0.02, 1.0
"""Seconds between two questions whether a service is ready; each wait is twice the one before."""

UNKEPT = {"Connection": "close"}
"""Headers of what a client asks before its first call. It keeps no connection open until then, so
that a service which makes a client when it starts can be snapshotted."""

KEPT = {"Connection": "keep-alive"}
"""Those of what it asks later."""

ASGIApp = Callable[..., Any]


@dataclass(frozen=True)
class Address:
    """Where a service answers.

    Args:
        base_url: What the routes are appended to.
        socket: The Unix socket to connect to, instead of the URL's host.
    """

    base_url: str
    socket: str | None = None

    @classmethod
    def of(cls, url: str) -> Address:
        """An address as a user gives it: ``http://``, ``https://``, ``tcp://host:port``, or
        ``unix:///path`` (BentoML: ``file:///path``).

        Raises:
            BentoMLException: It is none of these.
        """
        parts = urlsplit(url)
        if parts.scheme in ("unix", "file") and parts.path:
            return cls("http://127.0.0.1:3000", unquote(parts.path))
        if parts.scheme == "tcp" and parts.netloc:
            return cls(f"http://{parts.netloc}")
        if parts.scheme in ("http", "https") and parts.netloc:
            return cls(url)
        raise BentoMLException(f"{url!r} is no URL of a service; write http://HOST:PORT.")


class HTTPClient:
    """The part of a client that neither waits nor sends."""

    def __init__(
        self,
        url: str,
        *,
        media_type: str | None = None,
        service: Service[Any] | None = None,
        server_ready_timeout: float | None = None,
        token: str | None = None,
        timeout: float = 30,
        app: ASGIApp | None = None,
    ) -> None:
        if media_type not in (None, JSON):
            raise BentoMLException(f"Clients speak {JSON}, not {media_type}; leave media_type out.")
        from bentofn import __version__

        self.url = url
        self.endpoints: dict[str, Endpoint] = {} if service is None else endpoints_of(service)
        self.media_type = JSON
        self.timeout = timeout
        self.default_headers = {"User-Agent": f"bentofn HTTP client/{__version__}"}
        if token:
            self.default_headers["Authorization"] = f"Bearer {token}"
        self._address = Address.of(url)
        self._app = app
        self._ready_timeout = server_ready_timeout
        self._ready_path = _READY
        if service is not None:
            endpoints: Mapping[str, str] = service.config.get("endpoints") or {}
            self._ready_path = endpoints.get("readyz", _READY)
        self._knows_service = service is not None
        # Which server answers, and whether it takes arrays, only its own document says.
        self._only_json = media_type == JSON or service is not None
        self._setup_done = False
        self._start()

    def _start(self) -> None:
        """What a client does once it is made."""

    @property
    def _waits(self) -> bool:
        """Whether to wait for the service before the first call."""
        return self._app is None and (self._ready_timeout is None or self._ready_timeout > 0)

    def _options(self) -> dict[str, Any]:
        return {
            "base_url": self._address.base_url,
            "headers": self.default_headers,
            "timeout": self.timeout,
            "follow_redirects": True,
        }

    def _make_methods(self) -> None:
        self._setup_done = True
        if self._only_json:
            plain = {
                name: replace(each, takes=(), gives=()) for name, each in self.endpoints.items()
            }
            self.endpoints = plain
        for name, endpoint in self.endpoints.items():
            if name == "__call__":  # it is looked up on the class
                continue
            # As in BentoML, an endpoint gives way to what every client has.
            taken = hasattr(type(self), name) or name in vars(self)
            kind = TaskMethod if endpoint.is_task else Method
            setattr(self, f"api_{name}" if taken else name, kind(self, endpoint))

    def __getattr__(self, name: str) -> Any:
        known = vars(self).get("endpoints", {})
        listed = ", ".join(known) or "none"
        raise AttributeError(f"The service has no endpoint {name!r}; it has {listed}.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "__call__" not in self.endpoints:
            raise TypeError("This service is not callable.")
        return self.call("__call__", *args, **kwargs)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call an endpoint by its name, with the arguments of the service's method."""
        raise NotImplementedError

    def _endpoint(self, name: str) -> Endpoint:
        try:
            return self.endpoints[name]
        except KeyError:
            raise NotFound(f"Endpoint {name} not found") from None

    @contextmanager
    def _request(
        self, endpoint: Endpoint, args: Any, kwargs: Any, suffix: str = ""
    ) -> Iterator[httpx.Request]:
        """The request of a call; its files are open inside."""
        with ExitStack() as opened:
            message = compose(endpoint, args, kwargs, opened)
            headers = {"Accept": ACCEPT} if NPY[0] in endpoint.gives else {}
            yield self._built(endpoint.route.rstrip("/") + suffix or "/", message, headers)

    def _built(self, route: str, message: Message, headers: Mapping[str, str]) -> httpx.Request:
        client: httpx.Client | httpx.AsyncClient = self.client
        headers = {**trace_headers(), **headers}
        if message.media_type:
            headers = {**headers, "Content-Type": message.media_type}
        files = [
            (name, (upload.name, upload.file, upload.media_type)) for name, upload in message.files
        ]
        content: Any = message.content
        if content is not None and not isinstance(content, bytes):
            is_sync = isinstance(client, import_httpx().Client)
            content = _pieces(content) if is_sync else _awaited_pieces(content)
        return client.build_request(
            "POST",
            route,
            content=content,
            data={name: list(texts) for name, texts in message.fields.items()} or None,
            files=files or None,
            headers=dict(headers),
        )

    @cached_property
    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="bentofn-client-")

    def _new_file(self, response: httpx.Response) -> Path:
        """Where to write a file that is the answer: under its own name, in a folder of its own."""
        name = file_name(response.headers.get("content-disposition", ""))
        return Path(tempfile.mkdtemp(dir=self._folder.name)) / (name or "file")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(1 << 16):
        yield piece


async def _awaited_pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    for piece in _pieces(file):
        yield piece


class Patience:
    """How long to wait until a service is ready, and how long between two questions."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._wait = _FIRST_WAIT

    @property
    def left(self) -> float:
        """Seconds that one question may take."""
        return max(self._end - time.monotonic(), 0.001)

    def next_wait(self) -> float:
        """Seconds until the next question.

        Raises:
            ServiceUnavailable: There is no time for another.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise ServiceUnavailable(f"Server is not ready after {self._seconds} seconds")
        wait, self._wait = self._wait, min(self._wait * 2, _LONGEST_WAIT)
        return min(wait, left)


class Method:
    """A client's method for an endpoint."""

    def __init__(self, client: HTTPClient, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint
        self.__name__ = endpoint.name
        self.__doc__ = endpoint.doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._client.call(self._endpoint.name, *args, **kwargs)


class TaskMethod(Method):
    """A client's method for a task; of an asynchronous client what it returns is awaited."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Queue a call; returns a task."""
        return self._client._submit(self._endpoint, *args, **kwargs)

    def get_status(self, task_id: str) -> Any:
        """How far a task is, as :class:`~bentofn.runtime.client.tasks.ResultStatus`."""
        return self._client._task_status(self._endpoint, task_id)

    def get(self, task_id: str) -> Any:
        """A task's result."""
        return self._client._task_result(self._endpoint, task_id)

    def cancel(self, task_id: str) -> Any:
        """Keep a task from running, or stop it."""
        return self._client._cancel_task(self._endpoint, task_id)

    def retry(self, task_id: str) -> Any:
        """Submit a task's request again; returns a task."""
        return self._client._retry_task(self._endpoint, task_id)


def import_httpx() -> Any:
    """httpx, which only clients need.

    Raises:
        MissingDependencyException: It is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingDependencyException(
            "SyncHTTPClient and AsyncHTTPClient need httpx: install httpx, and list it under "
            "python.packages if a service uses them."
        ) from error
    return httpx
