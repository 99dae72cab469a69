"""One request and its answer on a connection between two services; it does no input or output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import h11

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.proxy import wire


@dataclass(frozen=True)
class Head:
    """The beginning of an answer.

    Args:
        status: The HTTP status.
        media_type: Its content type.
    """

    status: int
    media_type: str


class Conversation:
    """A connection's HTTP.

    Source: https://h11.readthedocs.io/en/latest/api.html
    """

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: list[bytes | memoryview],
    ) -> list[bytes | memoryview]:
        """What to send for a request."""
        size = sum(len(piece) for piece in body)
        fields = {"host": "bentofn", **headers, "content-length": str(size)}
        request = h11.Request(method=method, target=path, headers=list(fields.items()))
        sent: list[bytes | memoryview] = [self._http.send(request) or b""]
        for piece in body:
            # h11 adds nothing to data of a known length, it counts it.
            data = h11.Data(data=cast(bytes, piece))
            sent += self._http.send_with_data_passthrough(data) or []
        sent += self._http.send_with_data_passthrough(h11.EndOfMessage()) or []
        return sent

    def hear(self, data: bytes) -> None:
        """Take in what arrived; nothing where the connection has ended."""
        self._http.receive_data(data)

    def events(self) -> Iterator[Head | bytes | None]:
        """What is known of the answer by now: its head, pieces of its body, None at its end.

        Raises:
            EOFError: The connection ended too early.
        """
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise EOFError(str(error)) from error
            if isinstance(event, h11.Response):
                headers = dict(event.headers)
                yield Head(event.status_code, headers.get(b"content-type", b"").decode("latin-1"))
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                yield None
                return
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError("the connection was closed")
            elif event is h11.NEED_DATA:
                return

    def again(self) -> bool:
        """Get ready for the next request; False where the connection takes none."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True


def result_of(service: str, head: Head, body: bytes | bytearray) -> Any:
    """The value of a whole answer.

    Args:
        service: Who answered, for messages.
        head: The answer's head.
        body: Its body.

    Raises:
        Exception: The one that the service's method raised.
        BentoMLException: The service did not get to calling its method.
    """
    if head.media_type == wire.MEDIA_TYPE:
        value = wire.unpack(body)
        if head.status >= HTTPStatus.BAD_REQUEST:
            raise value
        return value
    raise _refused(service, head.status, bytes(body))


def _refused(service: str, status: int, body: bytes) -> BentoMLException:
    text = body.decode(errors="replace").strip()
    try:
        said = json.loads(text)
        said = said[0] if isinstance(said, list) else said
        text = str(said["error"])
    except (ValueError, KeyError, IndexError, TypeError):
        text = text or HTTPStatus(status).phrase
    code = HTTPStatus(status) if status >= HTTPStatus.BAD_REQUEST else HTTPStatus(500)
    kind = BentoMLException.error_mapping.get(code, BentoMLException)
    return kind(f"{service}: {text}", error_code=code)
