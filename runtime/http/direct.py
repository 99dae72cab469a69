"""A short cut past ASGI's messages, where the server is ours and nobody stands between."""

from __future__ import annotations

from collections.abc import Callable


class Direct:
    """A server's end of a request that can also be read and answered as a whole."""

    __slots__ = ()

    @property
    def is_held_up(self) -> bool:
        """Whether the client does not read what was written, so that more is to wait."""
        raise NotImplementedError

    def whole_body(self) -> bytes | None:
        """The request's body if all of it is here and nobody took any; else None."""
        raise NotImplementedError

    def respond(self, status: int, fields: bytes, length: int, body: bytes) -> None:
        """Send a whole response.

        Args:
            status: HTTP status.
            fields: The lines of its headers, which were checked, but its length.
            length: Bytes that its body has, or would have.
            body: Its body, or nothing in answer to HEAD.
        """
        raise NotImplementedError


def direct(receive: Callable[..., object], send: Callable[..., object]) -> Direct | None:
    """What is behind ASGI's channels; None if something else is behind one, as middleware is."""
    owner = getattr(send, "__self__", None)
    is_whole = isinstance(owner, Direct) and getattr(receive, "__self__", None) is owner
    return owner if is_whole else None
