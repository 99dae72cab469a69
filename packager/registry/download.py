"""Fetches a blob so that a break costs little: what arrived is kept, and gone on with."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.files import CHUNK, clear_stale, make_directory, writing
from bentofn.packager.registry.connection import Dropped, Response
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.errors import UserError

PARTIAL_AGE = 7 * 24 * 3600.0
"""Seconds after which a download that nobody went on with is removed."""


def fetch_blob(transport: Transport, store: Store, blob: Descriptor, source: str) -> None:
    """Fetch a blob into the store; what an earlier attempt left is gone on with.

    Raises:
        UserError: The registry refuses or fails, the bytes are others than the digest says, or the
            disk is full.
    """
    directory = store.home.directory(store.home.cache / "downloads")
    _clear_old(directory)
    with writing(directory), _partial(directory, blob.digest) as (path, file):
        if store.blobs.has_whole(blob.digest, blob.size):
            path.unlink()  # another process fetched it meanwhile
            return
        partial = _Partial(file)
        partial.fetch(transport, blob, source)
        if partial.size != blob.size or partial.digest != blob.digest:
            path.unlink()
            raise other_bytes(source, blob.digest)
        file.flush()
        store.blobs.put_file(path, move=True)


class _Partial:
    """The start of a blob in a file, and its hash."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        while chunk := file.read(CHUNK):
            self._count(chunk)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def fetch(self, transport: Transport, blob: Descriptor, source: str) -> None:
        """Fetch the rest, or all there is, in as many requests as it takes while it advances."""
        attempt = 0
        more = True
        while more and self.size < blob.size:
            attempt += 1
            before = self.size
            try:
                more = self._request(transport, blob, source)
            except Dropped as error:
                if self.size - before >= CHUNK:
                    attempt = 1
                transport.retrying(attempt, str(error))

    def _request(self, transport: Transport, blob: Descriptor, source: str) -> bool:
        """Ask for the rest once; False if the registry's blob ends where this file does."""
        headers = {"Range": f"bytes={self.size}-"} if self.size else {}
        url = transport.url(f"blobs/{blob.digest}")
        good = (200, 206, 404, 416)
        with transport.request("GET", url, headers=headers, good=good) as response:
            if response.status == 404:
                raise UserError(
                    f"{source} needs the blob {blob.digest}, which the registry does not have; "
                    "push it anew from where it was built."
                )
            if response.status == 416:
                return False
            if self.size and not _goes_on(response, self.size):
                self._restart()
                if response.status == 206:
                    raise Dropped("it sent another range than it was asked for")
            while self.size < blob.size:
                chunk = response.read(min(CHUNK, blob.size - self.size))
                if not chunk:
                    raise Dropped("the connection ended early")
                self._file.write(chunk)
                self._count(chunk)
        return True

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size = hashlib.sha256(), 0

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)


def _goes_on(response: Response, start: int) -> bool:
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(
        f"bytes {start}-"
    )


@contextmanager
def _partial(directory: Path, digest: str) -> Iterator[tuple[Path, BinaryIO]]:
    """The file in which a blob is gathered, held against other processes."""
    path = directory / digest.removeprefix("sha256:")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            # Whoever held it may have finished and taken the name away.
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                yield path, file
                return


def _clear_old(directory: Path) -> None:
    limit = time.time() - PARTIAL_AGE
    for path in make_directory(directory).iterdir():
        try:
            old = path.stat().st_mtime < limit
        except FileNotFoundError:
            continue
        if old:
            clear_stale(path)


def other_bytes(source: str, digest: str) -> UserError:
    """What to raise for bytes that are not what their digest says."""
    return UserError(
        f"{source} gave other bytes than {digest} says; nothing of them was kept. "
        "Try again, and push it anew if that does not help."
    )
