"""What an endpoint may know about the request it answers."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from starlette.background import BackgroundTask
    from starlette.datastructures import MutableHeaders
    from starlette.requests import Request


@dataclass(frozen=True)
class Cookie:
    """A cookie to set. Fields as in RFC 6265; ``max_age`` in seconds."""

    key: str
    value: str = ""
    max_age: int | None = None
    expires: str | None = None
    path: str = "/"
    domain: str | None = None
    secure: bool = False
    httponly: bool = False
    samesite: Literal["lax", "strict", "none"] = "lax"


@dataclass
class ResponseContext:
    """What an endpoint adds to its response.

    Args:
        headers: Headers to send.
        status_code: HTTP status of a successful answer.
        cookies: Cookies to set.
        background: Task to run after the response was sent.
    """

    headers: MutableHeaders
    status_code: int = 200
    cookies: list[Cookie] = field(default_factory=list)
    background: BackgroundTask | None = None

    @property
    def metadata(self) -> MutableHeaders:
        """The headers, by their older name."""
        return self.headers

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
