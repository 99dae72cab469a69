"""A safetensors file that a web server gives in ranges.

Source: https://www.rfc-editor.org/rfc/rfc9110, 8.4 (Content-Encoding), 13.1.1 (If-Match), 14.2
(Range), 14.4 (Content-Range)
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, header_end, read_header_from
from bentofn.runtime.weights.sources.address import Address, shown
from bentofn.runtime.weights.sources.attempts import Attempts
from bentofn.runtime.weights.sources.base import changed

_REDIRECTS = 5
_FIRST_READ = 1 << 18
"""Bytes of the first range, in which most headers fit."""

_MOVED = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpSource:
    """A file behind a URL; each of several threads has a connection while it reads.

    Args:
        url: ``http://`` or ``https://``; redirects are followed once, when it is opened.
        headers: Sent with every request, such as ``Authorization``; not to another host.

    Raises:
        UserError: There is no such file, it cannot be had in ranges, or it is no whole safetensors
            file.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.name = shown(url)
        self._address = Address.of(url)
        self._given = {**self._address.headers, **(headers or {})}
        self._idle: list[HTTPConnection] = []
        self._validator: Mapping[str, str | None] = {}
        try:
            start = bytearray(self._begin())
            got = len(start)
            more = header_end(start, self.size) - got
            if more > 0:
                start += bytes(more)
                self.read(got, memoryview(start)[got:])
            self._header = read_header_from(io.BytesIO(start), self.name, self.size)
        except BaseException:
            self.close()
            raise

    @property
    def header(self) -> SafetensorsHeader:
        return self._header

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int(self._validator["size"] or 0)

    def read(self, offset: int, target: memoryview, room: memoryview | None = None) -> None:
        """As :meth:`Source.read`."""
        attempts = Attempts(self.name)
        while target:
            got = 0
            try:
                with self._asked(offset, len(target)) as response:
                    self._expect(response, offset)
                    while target and (count := response.readinto(target)):
                        target, offset, got = target[count:], offset + count, got + count
                if target:
                    raise HTTPException("the connection was closed")
            except (OSError, HTTPException) as error:
                attempts.failed(error, got)

    def check(self) -> None:
        """As :meth:`Source.check`: each range was of the file that was opened."""

    def close(self) -> None:
        """As :meth:`Source.close`."""
        while self._idle:
            self._idle.pop().close()

    def _begin(self) -> bytes:
        """The first bytes, wherever the server leads."""
        for _ in range(_REDIRECTS + 1):
            start, location = self._first()
            if location is None:
                return start
            self._go(location)
        raise UserError(f"{self.name} leads from one address to another without an end.")

    def _first(self) -> tuple[bytes, str | None]:
        """The first bytes, or where they are."""
        attempts = Attempts(self.name)
        while True:
            try:
                with self._asked(0, _FIRST_READ) as response:
                    location = response.headers["Location"]
                    if response.status in _MOVED and location:
                        return b"", location
                    self._accept(response)
                    start = response.read(_FIRST_READ)
                    if len(start) < min(8, self.size):
                        raise HTTPException("the connection was closed")
                    return start, None
            except (OSError, HTTPException) as error:
                attempts.failed(error)

    def _accept(self, response: HTTPResponse) -> None:
        """Take the first response for what later ones are compared with."""
        _check_again(response)
        found = _validator(response)
        if response.status not in (200, 206):
            raise UserError(f"Cannot read {self.name}: {response.status} {response.reason}.")
        if response.status == 200 or not _begins_at(response, 0):
            raise UserError(f"{self.name} cannot be read in ranges; download it first.")
        if not (found["size"] or "").isdigit():
            raise UserError(f"{self.name} does not say how long it is; download it first.")
        self._check_encoding(response)
        self._validator = found

    def _expect(self, response: HTTPResponse, offset: int) -> None:
        """Check that a response is the range of the same file that was asked for."""
        _check_again(response)
        # 412: If-Match failed; 200: the whole of what is there now; 416: it is shorter now.
        if response.status in (200, 412, 416):
            raise changed(self.name)
        if response.status != 206:
            raise UserError(f"Cannot read {self.name}: {response.status} {response.reason}.")
        self._check_encoding(response)
        if _validator(response) != self._validator or not _begins_at(response, offset):
            raise changed(self.name)

    def _check_encoding(self, response: HTTPResponse) -> None:
        encoding = response.headers["Content-Encoding"] or "identity"
        if encoding.lower() != "identity":
            raise UserError(
                f"{self.name} is sent compressed ({encoding}), in which there are no ranges of the "
                "file; have the server send it as it is, or download it first."
            )

    def _go(self, location: str) -> None:
        """Ask another address from now on."""
        before, self._address = self._address, self._address.to(location)
        if (before.host, before.port) != (self._address.host, self._address.port):
            self._given = {}
            self.close()
        self._given |= self._address.headers

    @contextmanager
    def _asked(self, offset: int, length: int) -> Iterator[HTTPResponse]:
        """The response to a request for a range."""
        headers = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        tag = self._validator.get("ETag")
        if tag and not tag.startswith("W/"):
            headers["If-Match"] = tag
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._address.connection()
        try:
            connection.request("GET", self._address.path, headers=self._given | headers)
            response = connection.getresponse()
            yield response
        except BaseException:
            connection.close()
            raise
        if response.isclosed():
            self._idle.append(connection)
        else:  # what was not asked for would be taken for the next response
            connection.close()


def _check_again(response: HTTPResponse) -> None:
    """Raise where the server may answer next time."""
    if response.status in _AGAIN:
        raise HTTPException(f"{response.status} {response.reason}")


def _begins_at(response: HTTPResponse, offset: int) -> bool:
    return (response.headers["Content-Range"] or "").startswith(f"bytes {offset}-")


def _validator(response: HTTPResponse) -> dict[str, str | None]:
    """What says that it is the same file: its tag, or its time, and its length."""
    headers = response.headers
    tag = headers["ETag"]
    return {
        "ETag": tag,
        "Last-Modified": None if tag else headers["Last-Modified"],
        "size": (headers["Content-Range"] or "").rpartition("/")[2],
    }
