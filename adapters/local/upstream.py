"""The platform's connections to one instance."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
from multidict import CIMultiDict
from yarl import URL

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
_ADDED_BY_AIOHTTP = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


_ONE_PIECE = 16 << 10
"""Bytes of a request that is written at once and is one piece to the kernel (which makes pieces of
32 KiB and more for AF_UNIX), so that it was read as a whole or not at all."""

_UNREAD = (errno.ECONNRESET, errno.EPIPE)
"""What Linux says of an AF_UNIX socket whose other end was closed before all was read from it, and
of one that was closed before it was written to. Source: net/unix/af_unix.c, unix_release_sock."""


class Unreachable(Exception):  # noqa: N818 - a state of the instance
    """The instance has ended and has not read the request, which may be sent to another.

    Any method may be: the request was never applied (RFC 9110, section 9.2.2).
    """


class Upstream:
    """Sends requests to an instance over its socket, on connections that are kept.

    Args:
        socket_path: The instance's AF_UNIX socket.
    """

    def __init__(self, socket_path: Path) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket_path), limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=_NO_TIMEOUT,
            skip_auto_headers=_ADDED_BY_AIOHTTP,
        )

    async def send(
        self, method: str, path: str, headers: CIMultiDict[str] | Mapping[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        """Send a request; returns when the answer's headers are there.

        Args:
            method: The HTTP method.
            path: Path and query as they came, escapes and all.
            headers: The headers.
            body: The whole body.

        Raises:
            Unreachable: The instance has ended without reading the request.
            aiohttp.ClientError: The instance did not answer, and may have read it.
        """
        if self._session.closed:
            raise Unreachable  # it ended between the choice and the sending
        try:
            return await self._session.request(
                method,
                URL(f"http://instance{path}", encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                raise Unreachable from error
            raise
        except aiohttp.ClientOSError as error:
            if error.errno in _UNREAD and _size(path, headers, body) <= _ONE_PIECE:
                raise Unreachable from error
            raise

    async def open_websocket(
        self,
        path: str,
        headers: CIMultiDict[str] | Mapping[str, str],
        protocols: Sequence[str],
        message_limit: int,
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a websocket.

        Args:
            path: Path and query as they came.
            headers: The headers, without those of a handshake.
            protocols: Subprotocols to choose from.
            message_limit: Bytes of a message of the instance.

        Raises:
            Unreachable: The instance has ended.
            aiohttp.WSServerHandshakeError: The instance takes none there.
            aiohttp.ClientError: The instance did not answer.
        """
        if self._session.closed:
            raise Unreachable
        try:
            return await self._session.ws_connect(
                URL(f"http://instance{path}", encoded=True),
                headers=headers,
                protocols=protocols,
                max_msg_size=message_limit,
            )
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                raise Unreachable from error
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def _size(path: str, headers: Mapping[str, str], body: bytes) -> int:
    """About how many bytes a request takes, or a few more."""
    head = sum(len(name) + len(value) + 4 for name, value in headers.items())
    return len(path) + head + len(body) + 512
