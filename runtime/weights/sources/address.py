"""Where on the web a file is."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import quote, unquote, urljoin, urlsplit

from bentofn.runtime.errors import UserError

_TIMEOUT = 30.0
_SAFE = "!#$%&'()*+,/:;=?@[]~"
"""What stands in a path or a query as it is: all that RFC 3986 reserves, and what is quoted."""


@dataclass(frozen=True)
class Address:
    """One of them, without the user and the password that its URL may have.

    Args:
        scheme: ``http`` or ``https``.
        host: A name or an IP address.
        port: None for the scheme's own.
        path: With the query, as it is sent.
        headers: The user and the password, if there are any.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL.

        Raises:
            UserError: It is none of HTTP; the message holds no secrets.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:  # UnicodeError too
            host = ""
        if not host or parts.scheme not in ("http", "https"):
            raise UserError(f"{shown(url)} is not an address that weights can be read from.")
        headers = {}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        path = quote(parts.path or "/", _SAFE)
        query = f"?{quote(parts.query, _SAFE)}" if parts.query else ""
        return cls(parts.scheme, host, port, path + query, headers)

    def to(self, location: str) -> Address:
        """Where a redirect from here leads.

        Raises:
            UserError: As :meth:`of`; or from TLS to plain text.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        with suppress(ValueError):  # else it is no URL, and told so
            location = urljoin(f"{self.scheme}://{host}{port}{self.path}", location)
        found = Address.of(location)
        if self.scheme == "https" != found.scheme:
            raise UserError(f"{self.host} leads to {found.scheme}://, which is not encrypted.")
        return found

    def connection(self) -> HTTPConnection:
        """A connection, which is made with its first request."""
        kind = HTTPSConnection if self.scheme == "https" else HTTPConnection
        return kind(self.host, self.port, timeout=_TIMEOUT)


def shown(url: str) -> str:
    """A URL for messages: without a user and a password, and what may be a signature."""
    scheme, _, rest = url.partition("?")[0].partition("#")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
