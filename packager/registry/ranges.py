"""A part of a blob, fetched without the rest."""

from __future__ import annotations

from bentofn.packager.files import CHUNK
from bentofn.packager.registry.connection import Dropped, Response
from bentofn.packager.registry.transport import Transport
from bentofn.runtime.errors import UserError


class NoRanges(UserError):  # noqa: N818 - reads as what happened, like UserError's kin
    """The registry gives whole blobs only."""


def fetch_range(transport: Transport, digest: str, start: int, end: int) -> bytes:
    """Fetch some bytes of a blob; nobody has checked yet that they are the right ones.

    Args:
        transport: The repository.
        digest: The blob.
        start: First byte.
        end: The byte after the last.

    Raises:
        NoRanges: The registry does not know how to.
        UserError: The registry refuses or fails.
    """
    attempt = 0
    headers = {"Range": f"bytes={start}-{end - 1}"}
    while True:
        attempt += 1
        url = transport.url(f"blobs/{digest}")
        try:
            with transport.request("GET", url, headers=headers, good=(200, 206)) as response:
                return _read(response, start, end)
        except Dropped as error:
            transport.retrying(attempt, str(error))


def _read(response: Response, start: int, end: int) -> bytes:
    if response.status == 200:
        raise NoRanges("The registry sends whole layers only: all of them are fetched now.")
    if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-{end - 1}/"):
        raise Dropped("it sent another range than it was asked for")
    data = bytearray()
    while len(data) < end - start:
        piece = response.read(min(CHUNK, end - start - len(data)))
        if not piece:
            raise Dropped("the connection ended early")
        data += piece
    return bytes(data)
