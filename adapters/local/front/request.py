"""A caller's request for a function, and the way to answer it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, overload

from bentofn.adapters.local.front.bodies import Bodies
from bentofn.adapters.local.tickets import Refused
from bentofn.runtime.http.cycle import Cycle
from bentofn.runtime.http.exchange import Header, json_reply

_FIELD = b"%b: %b\r\n"
_T = TypeVar("_T")


class Headers(Mapping[str, str]):
    """Headers by name, whatever its case; of several of one name, the first.

    Args:
        pairs: Their names in lower case, and their values.
    """

    __slots__ = ("_first", "pairs")

    def __init__(self, pairs: Sequence[Header]) -> None:
        self.pairs = pairs
        self._first = dict(reversed(pairs))

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower().encode()].decode("utf-8", "surrogateescape")

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, /, default: str | _T) -> str | _T: ...

    def get(self, name: str, /, default: _T | None = None) -> str | _T | None:
        """As a mapping's, for which those that are missing are exceptions."""
        value = self._first.get(name.lower().encode())
        return default if value is None else value.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._first)

    def __len__(self) -> int:
        return len(self._first)


class Request:
    """A caller's request and its response.

    Args:
        cycle: Both, as the connection has them.
        peer: The caller's address.
        bodies: Counts what is kept of bodies.
    """

    __slots__ = ("_bodies", "_kept", "cycle", "headers", "method", "peer", "target")

    def __init__(self, cycle: Cycle, peer: str, bodies: Bodies) -> None:
        self._bodies = bodies
        self._kept = 0
        self.cycle = cycle
        self.peer = peer
        self.method: str = cycle.scope["method"]
        self.target: str = cycle.scope["path"]
        self.headers = Headers(cycle.scope["headers"])

    @property
    def content_length(self) -> int:
        """Bytes that the body is said to hold; 0 where nothing is said."""
        return int(self.headers.get("content-length", 0))

    async def body(self, limit: int) -> bytes:
        """Read the whole body.

        Raises:
            Refused: It holds more than ``limit`` bytes (413), breaks HTTP's framing (400), or finds
                no room in memory (503).
        """
        if self.content_length > limit:
            raise _too_large(limit)
        whole = self.cycle.whole_body()
        if whole is not None:
            if len(whole) > limit:
                raise _too_large(limit)
            return whole
        body = bytearray()
        while True:
            message = await self.cycle.receive()
            if message["type"] != "http.request":
                raise Refused(400, "The body cannot be read: it is not framed as it says.")
            piece: bytes = message["body"]
            if len(body) + len(piece) > limit:
                raise _too_large(limit)
            self._bodies.take(len(piece))
            self._kept += len(piece)
            body += piece
            if not message["more_body"]:
                return bytes(body)

    def close(self) -> None:
        """It is over, and its body is kept no longer."""
        if self._kept:
            self._bodies.release(self._kept)
            self._kept = 0

    async def respond(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole response.

        Args:
            status: HTTP status.
            headers: Its headers, which were checked, but none of the connection or the length.
            body: Its body; left out in answer to HEAD.
        """
        cycle = self.cycle
        if cycle.is_held_up:
            length = (b"content-length", b"%d" % len(body))
            await self.start(status, (*headers, length))
            await self.write(body, more=False)
            return
        fields = b"".join([_FIELD % each for each in headers])
        cycle.respond(status, fields, len(body), b"" if self.method == "HEAD" else body)

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send a response's head; its body follows."""
        await self.cycle.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a part of the body, once the caller has read most of those before.

        Args:
            chunk: The part.
            more: Whether another follows.
        """
        await self.cycle.send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def error(self, status: int, sentence: str) -> None:
        """Send the platform's own answer, in the shape of a service's error."""
        reply = json_reply(status, {"error": sentence})
        await self.respond(status, [(b"content-type", reply.media_type.encode())], reply.body)


def _too_large(limit: int) -> Refused:
    return Refused(413, f"The body is larger than {limit} bytes, the platform's limit.")


def replaced(headers: Sequence[Header], by: Mapping[str, str]) -> list[Header]:
    """Headers, their names in lower case, with some in the place of those of the same names."""
    others = encoded({name.lower(): value for name, value in by.items()})
    names = {name for name, _ in others}
    return [*(each for each in headers if each[0] not in names), *others]


def encoded(headers: Mapping[str, str]) -> list[Header]:
    """Headers of the platform's own, as they are sent."""
    return [
        (name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers.items()
    ]
