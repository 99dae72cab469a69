"""What an endpoint may know about the request it answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bentofn.runtime.errors import BentoMLException

if TYPE_CHECKING:
    from pathlib import PurePath

    from starlette.background import BackgroundTask, BackgroundTasks
    from starlette.datastructures import MutableHeaders

    from bentofn.runtime.http.request import ServiceRequest


EXAMPLE = "bentofn.example"
"""The ASGI extension that marks examples: nothing that a request from outside holds can set it."""


@dataclass(frozen=True)
class Cookie:
    """A cookie to set. Fields as in RFC 6265; ``max_age`` in seconds."""

    key: str
    value: str = ""
    max_age: int | None = None
    expires: str | int | None = None
    path: str = "/"
    domain: str | None = None
    secure: bool = False
    httponly: bool = False
    samesite: Literal["lax", "strict", "none"] = "lax"


class ResponseContext:
    """What an endpoint adds to its response.

    Args:
        headers: Headers to send.
        status_code: HTTP status of a successful answer.
    """

    def __init__(self, headers: MutableHeaders, status_code: int = 200) -> None:
        self._headers = headers
        self.status_code = status_code
        self.cookies: list[Cookie] = []
        self._background: BackgroundTask | None = None

    @property
    def headers(self) -> MutableHeaders:
        """Headers to send; a mapping may be put in their place."""
        return self._headers

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        from starlette.datastructures import MutableHeaders

        self._headers = MutableHeaders(headers)

    @property
    def metadata(self) -> MutableHeaders:
        """The headers, by their older name."""
        return self._headers

    @metadata.setter
    def metadata(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    @property
    def background(self) -> BackgroundTasks:
        """Tasks to run after the response was sent: ``background.add_task(function, ...)``."""
        from starlette.background import BackgroundTasks

        if self._background is None:
            self._background = BackgroundTasks()
        elif not isinstance(self._background, BackgroundTasks):
            self._background = BackgroundTasks([self._background])
        return self._background

    @background.setter
    def background(self, task: BackgroundTask | None) -> None:
        self._background = task

    async def run_background(self) -> None:
        """Run the tasks that are due after the response."""
        if self._background is not None:
            await self._background()

    def set_cookie(self, key: str, value: str = "", **attributes: Any) -> None:
        """Set a cookie; the attributes are those of :class:`Cookie`."""
        self.cookies.append(Cookie(key, value, **attributes))


class Context:
    """The parameter named ``ctx`` or ``context`` of an endpoint.

    What a method does not ask for is not made: every request has one.

    Args:
        scope: The request's ASGI scope.
        source: Its body, or the ASGI channel that the body comes from.
        state: A mapping that lives as long as the service's instance.
        request_id: Identifies the request.
    """

    __slots__ = ("_request", "_scope", "_source", "_temp_dir", "answered", "request_id", "state")

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        source: bytes | bytearray | Callable[[], Awaitable[MutableMapping[str, Any]]],
        state: dict[str, Any],
        request_id: str = "",
    ) -> None:
        self.state = state
        self.request_id = request_id
        self._scope = scope
        self._source = source
        self._request: ServiceRequest | None = None
        self.answered: ResponseContext | None = None
        """What is added to the response; None if nobody asked for it."""
        self._temp_dir: str | None = None

    @property
    def request(self) -> ServiceRequest:
        """The request."""
        if self._request is None:
            from bentofn.runtime.http.request import ServiceRequest, replay

            source = self._source
            if isinstance(source, bytearray):
                source = bytes(source)
            receive = replay(source) if isinstance(source, bytes) else source
            self._request = ServiceRequest(self._scope, receive)
        return self._request

    @property
    def response(self) -> ResponseContext:
        """What is added to the response."""
        if self.answered is None:
            from starlette.datastructures import MutableHeaders

            self.answered = ResponseContext(MutableHeaders())
        return self.answered

    @property
    def is_example(self) -> bool:
        """Whether the request is an example of a service of the bento, sent to warm it up."""
        return EXAMPLE in self._scope.get("extensions", ())

    @property
    def temp_dir(self) -> str:
        """A directory of this request's own; it is removed after the response was sent."""
        if self._temp_dir is None:
            self._temp_dir = tempfile.mkdtemp(prefix="bentofn-")
        return self._temp_dir

    def headers_named(self, names: Collection[bytes]) -> dict[str, str]:
        """Those of the request's headers that have certain names, which are in lower case."""
        found = [each for each in self._scope.get("headers", ()) if each[0] in names]
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in found}

    def owns(self, path: PurePath) -> bool:
        """Whether a file is removed with :attr:`temp_dir`."""
        return self._temp_dir is not None and path.is_relative_to(self._temp_dir)

    def close(self) -> None:
        """Remove what the request left on disk."""
        if self._temp_dir is not None:
            shutil.rmtree(self._temp_dir, ignore_errors=True)
            self._temp_dir = None


current_context: ContextVar[Context] = ContextVar("current_context")
"""The context of the request that this task, and what it calls, answers."""


def answers_example() -> bool:
    """Whether the running code answers an example of the service's own."""
    context = current_context.get(None)
    return context is not None and context.is_example


class ServiceContext:
    """``Service.context``: a service's state, and the request that the running code answers."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        """A mapping that lives as long as the service."""

    @property
    def request(self) -> ServiceRequest:
        """The request."""
        return _running().request

    @property
    def response(self) -> ResponseContext:
        """What is added to its response."""
        return _running().response

    @property
    def temp_dir(self) -> str:
        """A directory of the request's own."""
        return _running().temp_dir


def _running() -> Context:
    try:
        return current_context.get()
    except LookupError:
        raise BentoMLException(
            "There is no request: a service's context has one only while an endpoint answers."
        ) from None
