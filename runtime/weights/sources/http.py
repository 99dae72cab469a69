"""A safetensors file that a web server gives in ranges.

Source: https://www.rfc-editor.org/rfc/rfc9110, 13.1.1 (If-Match), 14.2 (Range)
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urljoin, urlsplit

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, header_end, read_header_from
from bentofn.runtime.weights.sources.base import changed

_ATTEMPTS = 5
_FIRST_WAIT = 0.1
"""Seconds before the second attempt; doubled before each further one."""

_TIMEOUT = 30.0
_REDIRECTS = 5
_FIRST_READ = 1 << 18
"""Bytes of the first range, in which most headers fit."""

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpSource:
    """A file behind a URL; each thread has a connection of its own.

    Args:
        url: ``http://`` or ``https://``; redirects are followed once, when it is opened.
        headers: Sent with every request, such as ``Authorization``; not to another host.

    Raises:
        UserError: There is no such file, it cannot be had in ranges, or it is no whole safetensors
            file.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._given = dict(headers or {})
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []
        self._validator: Mapping[str, str | None] = {}
        start = bytearray(_FIRST_READ)
        try:
            got, self.size = self._open(start)
            more = header_end(start, self.size) - got
            if more > 0:
                rest = bytearray(more)
                self.read(got, memoryview(rest))
                start[got:] = rest
            self._header = read_header_from(io.BytesIO(start), self.name, self.size)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        return self.url.partition("?")[0]  # what follows may be a signature

    @property
    def header(self) -> SafetensorsHeader:
        return self._header

    def read(self, offset: int, target: memoryview, room: memoryview | None = None) -> None:
        """As :meth:`Source.read`."""
        failures = 0
        while target:
            try:
                with self._ask(offset, len(target)) as response:
                    self._expect(response, offset)
                    while target:
                        count = response.readinto(target)
                        if not count:
                            raise HTTPException("the connection was closed")
                        target, offset, failures = target[count:], offset + count, 0
            except (OSError, HTTPException) as error:
                self._forget()
                failures += 1
                if failures == _ATTEMPTS:
                    raise UserError(f"Cannot read {self.name}: {_reason(error)}.") from error
                time.sleep(_FIRST_WAIT * 2 ** (failures - 1))

    def check(self) -> None:
        """As :meth:`Source.check`: each range was of the file that was opened."""

    def close(self) -> None:
        """As :meth:`Source.close`."""
        for connection in self._connections:
            connection.close()

    def _open(self, start: bytearray) -> tuple[int, int]:
        """Read the first range; returns how much came, and the file's bytes."""
        for _ in range(_REDIRECTS + 1):
            response = self._first()
            if response.status in (301, 302, 303, 307, 308) and response.headers["Location"]:
                response.read()
                self._follow(urljoin(self.url, response.headers["Location"]))
                continue
            if response.status != 206:
                response.close()
                if response.status == 200:
                    raise UserError(f"{self.name} cannot be read in ranges; download it first.")
                raise UserError(f"Cannot read {self.name}: {response.status} {response.reason}.")
            size = (response.headers["Content-Range"] or "").rpartition("/")[2]
            if not size.isdigit():
                raise UserError(f"{self.name} does not say how long it is; download it first.")
            self._validator = _validator(response)
            body = response.read()
            start[: len(body)] = body
            del start[len(body) :]
            return len(body), int(size)
        raise UserError(f"{self.name} leads from one address to another without an end.")

    def _first(self) -> HTTPResponse:
        for attempt in range(_ATTEMPTS):
            try:
                response = self._ask(0, _FIRST_READ)
                if response.status not in _AGAIN or attempt == _ATTEMPTS - 1:
                    return response
                response.read()
            except (OSError, HTTPException) as error:
                self._forget()
                if attempt == _ATTEMPTS - 1:
                    raise UserError(f"Cannot read {self.name}: {_reason(error)}.") from error
            time.sleep(_FIRST_WAIT * 2**attempt)
        raise AssertionError

    def _follow(self, url: str) -> None:
        before, after = urlsplit(self.url), urlsplit(url)
        if before.scheme == "https" and after.scheme != "https":
            raise UserError(f"{self.name} leads to {after.scheme}://, which is not encrypted.")
        if before.netloc != after.netloc:
            self._given = {}
        self._forget()
        self.url = url

    def _ask(self, offset: int, length: int) -> HTTPResponse:
        parts = urlsplit(self.url)
        headers = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        tag = self._validator.get("ETag")
        if tag and not tag.startswith("W/"):
            headers["If-Match"] = tag
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = self._connection()
        connection.request("GET", path, headers=self._given | headers)
        return connection.getresponse()

    def _expect(self, response: HTTPResponse, offset: int) -> None:
        """Check that a response is the range of the same file that was asked for."""
        if response.status in _AGAIN:
            raise HTTPException(f"{response.status} {response.reason}")
        # 412: If-Match failed; 200: the whole of what is there now; 416: it is shorter now.
        if response.status in (200, 412, 416) or (
            response.status == 206
            and (
                _validator(response) != self._validator
                or not (response.headers["Content-Range"] or "").startswith(f"bytes {offset}-")
            )
        ):
            self._forget()
            raise changed(self.name)
        if response.status != 206:
            self._forget()
            raise UserError(f"Cannot read {self.name}: {response.status} {response.reason}.")

    def _connection(self) -> HTTPConnection:
        found: HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            parts = urlsplit(self.url)
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            found = self._local.connection = kind(parts.netloc, timeout=_TIMEOUT)
            self._connections.append(found)
        return found

    def _forget(self) -> None:
        """Close this thread's connection: the next request opens another."""
        found: HTTPConnection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._connections.remove(found)
            self._local.connection = None


def _validator(response: HTTPResponse) -> dict[str, str | None]:
    """What says that it is the same file: its tag, or its time, and its length."""
    headers = response.headers
    tag = headers["ETag"]
    return {
        "ETag": tag,
        "Last-Modified": None if tag else headers["Last-Modified"],
        "size": (headers["Content-Range"] or "").rpartition("/")[2],
    }


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
