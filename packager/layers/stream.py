"""Read a layer as a stream, hashed on the way: its bytes, or the files that it holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from bentofn.packager.files import CHUNK
from bentofn.packager.store.blobs import hash_stream

UNREADABLE = (tarfile.TarError, zstandard.ZstdError, gzip.BadGzipFile, zlib.error, EOFError)
"""What the readers raise for bytes that are no archive."""


class DamagedLayer(Exception):  # noqa: N818 - an outcome for the caller to word
    """The bytes of a layer are not those that its digest promises, or no tar archive."""


@dataclass(frozen=True)
class Member:
    """A file or link of a layer.

    Args:
        path: Its path in the layer.
        size: Bytes of its content; 0 for a link.
        digest: ``sha256:HEX`` of its content, or ``link:TARGET``.
    """

    path: str
    size: int
    digest: str


def read_members(blob: Path, media_type: str, digest: str) -> Iterator[Member]:
    """The files and links of an archive, in its order; nothing is written anywhere.

    Args:
        blob: The layer's blob.
        media_type: Its OCI media type, which says how it is compressed.
        digest: Digest of the blob.

    Raises:
        DamagedLayer: The blob is missing, does not have the digest or is no archive; what was given
            before is then not to be trusted.
    """
    try:
        file = blob.open("rb")
    except FileNotFoundError as error:
        raise DamagedLayer(f"{digest} is missing") from error
    with file:
        source = HashingReader(file)
        try:
            stream = decompressor(source, media_type)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
                for info in archive:
                    if not info.isdir():
                        yield _member(archive, info)
        except UNREADABLE as error:
            raise DamagedLayer(f"{digest}: {error}") from error
        if source.finish() != digest:
            raise DamagedLayer(f"{digest} is other bytes")


class HashingReader(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        return len(data)

    def finish(self) -> str:
        """Read what follows the archive's end; returns the digest of the whole blob."""
        while data := self._file.read(CHUNK):
            self._hash.update(data)
        return f"sha256:{self._hash.hexdigest()}"


def decompressor(source: HashingReader, media_type: str) -> BinaryIO:
    """The plain archive inside a layer's blob."""
    if media_type.endswith("+zstd"):
        reader = zstandard.ZstdDecompressor().stream_reader(cast("BinaryIO", source))
        return cast("BinaryIO", reader)
    if media_type.endswith("+gzip"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=cast("BinaryIO", source), mode="rb"))
    return cast("BinaryIO", source)


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isreg():
        return Member(info.name, 0, f"link:{info.linkname}")
    digest, size = hash_stream(cast("BinaryIO", archive.extractfile(info)))
    return Member(info.name, size, digest)
