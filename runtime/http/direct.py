"""A short cut past ASGI's messages, where the server is ours and nobody stands between."""

from __future__ import annotations

from collections.abc import Callable, Iterable


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

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole response, whose headers were checked."""
        raise NotImplementedError


def direct(channel: Callable[..., object]) -> Direct | None:
    """What is behind one of ASGI's channels; None if that is something else, as middleware is."""
    owner = getattr(channel, "__self__", None)
    return owner if isinstance(owner, Direct) else None
