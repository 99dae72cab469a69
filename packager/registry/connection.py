"""Connections to registries: how they break, which redirects they follow, and what they answer."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

from bentofn.runtime.errors import UserError


class Dropped(Exception):  # noqa: N818 - an outcome, turned into a sentence or another attempt
    """The connection broke; the message says how, without the URL."""


@dataclass(frozen=True)
class Response:
    """An answer whose body is still to be read.

    Args:
        status: HTTP's.
        headers: HTTP's.
        url: Where it came from in the end; it may hold a signature, so it is never printed.
        raw: The stream.
    """

    status: int
    headers: Message
    url: str
    raw: Any

    def read(self, size: int) -> bytes:
        """Read up to so many bytes.

        Raises:
            Dropped: The connection broke.
        """
        with dropping():
            data: bytes = self.raw.read(size)
            return data


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows reads only, and never from HTTPS to anything else."""

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # absent before Python 3.11

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if req.get_method() not in ("GET", "HEAD") or scheme not in ("https", req.type):
            return None
        return urllib.request.Request(newurl, headers=req.headers, method=req.get_method())


@contextmanager
def dropping(registry: str = "") -> Iterator[None]:
    """Turn the failures of a connection into :class:`Dropped`, or a sentence where none helps.

    Raises:
        Dropped: Another attempt may succeed.
        UserError: None would.
    """
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLError) and registry:
            raise UserError(
                f"{registry} cannot be reached over HTTPS ({reason.reason or 'TLS failed'}); "
                "check its certificate, or use --insecure for plain HTTP on a trusted network."
            ) from error
        if isinstance(reason, (ConnectionRefusedError, socket.gaierror)) and registry:
            raise UserError(
                f"Nothing answers at {registry}; check the name, the port and that it runs."
            ) from error
        raise Dropped(type(reason).__name__) from error
