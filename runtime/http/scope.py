"""What ASGI is told of a request.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
"""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any

import httptools

from bentofn.runtime.http.exchange import Header


class Scopes:
    """The scopes of one connection's requests.

    Args:
        transport: The connection.
        state: What the application's start-up left for its requests.
    """

    def __init__(self, transport: asyncio.BaseTransport, state: dict[str, Any]) -> None:
        self._state = state
        self._common = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "server": _address(transport, "sockname"),
            "client": _address(transport, "peername"),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "root_path": "",
        }

    def scope(
        self, method: bytes, target: bytes, version: str, headers: list[Header]
    ) -> dict[str, Any]:
        """The scope of a request.

        Raises:
            Exception: Its target is none, or has a path that is not ASCII.
        """
        url = httptools.parse_url(target)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        return {
            **self._common,
            "http_version": version,
            "headers": headers,
            "state": self._state.copy(),
            "method": method.decode("ascii"),
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
        }


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int | None] | None:
    """One end of a connection, as ASGI tells it."""
    found = transport.get_extra_info(name)
    if isinstance(found, tuple):
        return str(found[0]), int(found[1])
    return (found, None) if isinstance(found, str) and found and name == "sockname" else None
