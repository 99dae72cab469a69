"""Blobs of an image: what they are, and how their bytes are had when somebody wants them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from bentofn.packager.files import CHUNK
from bentofn.packager.store import Descriptor
from bentofn.packager.store.blobs import digest_of
from bentofn.runtime.errors import UserError

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Blob:
    """A blob that may not be on this machine yet.

    Args:
        descriptor: What it is.
        chunks: Gives its bytes anew each time; the last are given only if all have the digest.
    """

    descriptor: Descriptor
    chunks: Chunks

    def read(self) -> bytes:
        """All of it; for small blobs."""
        return b"".join(self.chunks())


@dataclass(frozen=True)
class Layer:
    """A layer of an image.

    Args:
        blob: Its bytes.
        diff_id: Digest of its tar archive.
        created_by: What made it, for the image's history.
    """

    blob: Blob
    diff_id: str
    created_by: str


def bytes_blob(data: bytes, media_type: str) -> Blob:
    """A blob that is held in memory."""
    digest = digest_of(data)
    return Blob(Descriptor(media_type, digest, len(data)), lambda: iter((data,)))


def file_blob(path: Path, descriptor: Descriptor, source: str, remedy: str) -> Blob:
    """A blob that is a file, checked when it is read.

    Args:
        path: The file.
        descriptor: What it should be.
        source: Where it belongs to, for messages.
        remedy: What to do if it is damaged, as the end of a sentence.
    """

    def chunks() -> Iterator[bytes]:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise damaged(source, descriptor.digest, remedy) from None
        with file:
            yield from checked(file_chunks(file), descriptor, source, remedy)

    return Blob(descriptor, chunks)


def file_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file."""
    while chunk := file.read(CHUNK):
        yield chunk


def checked(
    chunks: Iterator[bytes], descriptor: Descriptor, source: str, remedy: str
) -> Iterator[bytes]:
    """Pass a blob's bytes on; the last of them only if all have its digest and size.

    Raises:
        UserError: They have not.
    """
    hashed, size = hashlib.sha256(), 0
    held = b""
    for chunk in chunks:
        hashed.update(chunk)
        size += len(chunk)
        if held:
            yield held
        held = chunk
    if size != descriptor.size or f"sha256:{hashed.hexdigest()}" != descriptor.digest:
        raise damaged(source, descriptor.digest, remedy)
    if held:
        yield held


def damaged(source: str, digest: str, remedy: str) -> UserError:
    """The sentence for bytes that are not those of a digest."""
    return UserError(
        f"{source} is damaged: it lacks {digest}, or has other bytes for it; {remedy}."
    )


class ChunkReader(io.RawIOBase):
    """Chunks as a file that is read from its start to its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held:
            try:
                self._held = memoryview(next(self._chunks))
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size


def open_chunks(chunks: Iterator[bytes]) -> BinaryIO:
    """Chunks as a buffered binary file."""
    return cast("BinaryIO", io.BufferedReader(ChunkReader(chunks), CHUNK))
