"""What an endpoint may know about the request it answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bentofn.runtime.errors import BentoMLException

if TYPE_CHECKING:
    from starlette.background import BackgroundTask, BackgroundTasks
    from starlette.datastructures import MutableHeaders
    from starlette.requests import Request


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

    Args:
        request: The request.
        state: A mapping that lives as long as the service's instance.
    """

    def __init__(self, request: Request, state: dict[str, Any]) -> None:
        from starlette.datastructures import MutableHeaders

        self.request = request
        self.response = ResponseContext(headers=MutableHeaders())
        self.state = state
        self._temp_dir: str | None = None

    @property
    def temp_dir(self) -> str:
        """A directory of this request's own; it is removed after the response was sent."""
        if self._temp_dir is None:
            self._temp_dir = tempfile.mkdtemp(prefix="bentofn-")
        return self._temp_dir

    def close(self) -> None:
        """Remove what the request left on disk."""
        if self._temp_dir is not None:
            shutil.rmtree(self._temp_dir, ignore_errors=True)
            self._temp_dir = None


_current: ContextVar[Context] = ContextVar("bentofn_context")


def enter(context: Context) -> Token[Context]:
    """Make a context the one of the request that this task, and what it calls, answers."""
    return _current.set(context)


class ServiceContext:
    """``Service.context``: a service's state, and the request that the running code answers."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        """A mapping that lives as long as the service."""

    @property
    def request(self) -> Request:
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
        return _current.get()
    except LookupError:
        raise BentoMLException(
            "There is no request: a service's context has one only while an endpoint answers."
        ) from None
