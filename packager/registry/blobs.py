"""Blobs and manifests of one repository: asked for, sent, and fetched so that a break costs little.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from bentofn.packager.arrival import MAX_MANIFEST
from bentofn.packager.files import CHUNK, clear_stale, make_directory, writing
from bentofn.packager.registry.transport import Body, Dropped, Response, Transport
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.blobs import digest_of
from bentofn.packager.store.descriptors import MANIFEST
from bentofn.runtime.errors import UserError

PARTIAL_AGE = 7 * 24 * 3600.0
"""Seconds after which a download that nobody went on with is removed."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def has_blob(transport: Transport, digest: str) -> bool:
    """Whether the repository has a blob.

    Raises:
        UserError: The registry refuses or fails.
    """
    with transport.request("HEAD", transport.url(f"blobs/{digest}"), good=(200, 404)) as response:
        return response.status == 200


def send_blob(transport: Transport, store: Store, blob: Descriptor) -> None:
    """Send a blob, streamed from the store.

    Raises:
        UserError: The registry refuses or fails, or the blob is damaged.
    """
    path = store.blob_path(blob.digest)

    def body() -> Iterator[bytes]:
        hashed, sent = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                sent += len(chunk)
                # The last bytes wait for the digest, so that a damaged blob never arrives whole.
                if sent >= blob.size and f"sha256:{hashed.hexdigest()}" != blob.digest:
                    raise _damaged(store, blob)
                yield chunk
        if sent != blob.size:
            raise _damaged(store, blob)

    if not store.blobs.has_whole(blob.digest, blob.size):
        raise _damaged(store, blob)
    send_chunks(transport, blob, body)


def send_chunks(transport: Transport, blob: Descriptor, body: Body) -> None:
    """Send a blob.

    Args:
        transport: The repository.
        blob: What it is.
        body: Gives its bytes, anew for each attempt.

    Raises:
        UserError: The registry refuses or fails.
    """
    attempt = 0
    while True:
        attempt += 1
        with transport.request("POST", transport.url("blobs/uploads/"), good=(202,)) as response:
            session = urllib.parse.urljoin(response.url, response.headers.get("Location", ""))
        joint = "&" if urllib.parse.urlsplit(session).query else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        url = f"{session}{joint}{urllib.parse.urlencode({'digest': blob.digest})}"
        # A session may be gone after a break, which is 404; then a new one is begun.
        with transport.request(
            "PUT", url, headers=headers, body=body, good=(200, 201, 204, 404)
        ) as response:
            if response.status != 404:
                return
        transport.retrying(attempt, "the upload was forgotten")


def mount_blob(transport: Transport, digest: str, repository: str) -> bool:
    """Ask the registry to take a blob from another of its repositories; False if it does not.

    Raises:
        UserError: The registry fails.
    """
    query = urllib.parse.urlencode({"mount": digest, "from": repository})
    url = transport.url(f"blobs/uploads/?{query}")
    with transport.request("POST", url, good=(201, 202, 401, 403, 404, 405)) as response:
        return response.status == 201


def send_manifest(
    transport: Transport,
    tag: str,
    data: bytes,
    media_type: str = MANIFEST,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Message:
    """Give a tag to a manifest whose blobs are all there.

    Args:
        transport: The repository.
        tag: The tag, or the manifest's own digest.
        data: The manifest.
        media_type: What it is.
        headers: Further headers; ``If-Match`` makes 412 an answer.

    Returns:
        The headers of the answer.

    Raises:
        UserError: The registry refuses or fails.
    """
    sent = {"Content-Type": media_type, "Content-Length": str(len(data)), **headers}
    good = (200, 201, 412) if "If-Match" in headers else (200, 201)
    url = transport.url(f"manifests/{tag}")
    with transport.request("PUT", url, headers=sent, body=lambda: [data], good=good) as response:
        return response.headers


def fetch_manifest(transport: Transport, tag: str, source: str, *, accept: str = MANIFEST) -> bytes:
    """Fetch the manifest of a tag.

    Args:
        transport: The repository.
        tag: The tag, or a digest.
        source: Where it is, for messages.
        accept: The media types that are understood, as HTTP lists them.

    Raises:
        UserError: The registry refuses or fails, it is too large, or its bytes are others than the
            registry says.
    """
    attempt = 0
    while True:
        attempt += 1
        url = transport.url(f"manifests/{tag}")
        try:
            with transport.request("GET", url, headers={"Accept": accept}) as response:
                data = response.read(MAX_MANIFEST + 1)
                _check_length(response, len(data))
                said = response.headers.get("Docker-Content-Digest", "")
        except Dropped as error:
            transport.retrying(attempt, str(error))
            continue
        if len(data) > MAX_MANIFEST:
            raise UserError(f"{source} has a manifest larger than registries take; do not use it.")
        if said.startswith("sha256:") and said != digest_of(data):
            raise _other(source, said)
        return data


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
            raise _other(source, blob.digest)
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


def _check_length(response: Response, received: int) -> None:
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and received < min(int(length), MAX_MANIFEST):
        raise Dropped("the connection ended early")


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


def _other(source: str, digest: str) -> UserError:
    return UserError(
        f"{source} gave other bytes than {digest} says; nothing of them was kept. "
        "Try again, and push it anew if that does not help."
    )


def _damaged(store: Store, blob: Descriptor) -> UserError:
    return UserError(
        f"The blob {blob.digest} is damaged or missing in {store.path}; "
        "build or pull the bento again to write it anew."
    )
