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
from bentofn.runtime.errors import UserError

UNREADABLE = (tarfile.TarError, zstandard.ZstdError, gzip.BadGzipFile, zlib.error, EOFError)
"""What the readers raise for bytes that are no archive."""


PLAIN_FREE, PLAIN_RATIO = 256 << 20, 200
"""A layer of n bytes may unpack to ``PLAIN_FREE + PLAIN_RATIO * n``: archives of code, libraries
and text come to 3 or 5 times their size, and what is far above was made to fill a disk."""

MAX_ENTRIES = 500_000
"""Files, folders and links of a layer; an environment with CUDA has 30 000."""

MAX_HEADER = 1 << 20
"""Bytes that the tar format may use to name one entry."""

_TAR_BUFFER = 1 << 16
"""Bytes that `tarfile` holds: it copies what is left of them for each header that it reads."""

_EXTENDED = {
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
}


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
        UserError: It holds far more than its size lets expect.
    """
    try:
        file = blob.open("rb")
    except FileNotFoundError as error:
        raise DamagedLayer(f"{digest} is missing") from error
    with file:
        source = HashingReader(file)
        try:
            stream = decompressor(source, media_type)
            with open_archive(stream) as archive:
                for info in bounded(archive):
                    if not info.isdir():
                        yield _member(archive, info)
        except UNREADABLE as error:
            raise DamagedLayer(f"{digest}: {error}") from error
        if source.finish() != digest:
            raise DamagedLayer(f"{digest} is other bytes")


class HashingReader(io.RawIOBase):
    """A file whose bytes are hashed and counted as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        self.count += len(data)
        return len(data)

    def finish(self) -> str:
        """Read what follows the archive's end; returns the digest of the whole blob."""
        while data := self._file.read(CHUNK):
            self._hash.update(data)
        return f"sha256:{self._hash.hexdigest()}"


def decompressor(source: HashingReader, media_type: str) -> BinaryIO:
    """The plain archive inside a layer's blob; reading it raises UserError past its limit."""
    if media_type.endswith("+zstd"):
        decompressor = zstandard.ZstdDecompressor()
        reader = decompressor.stream_reader(cast("BinaryIO", source), read_across_frames=True)
        return cast("BinaryIO", _Bounded(cast("BinaryIO", reader), source))
    if media_type.endswith("+gzip"):
        zipped = gzip.GzipFile(fileobj=cast("BinaryIO", source), mode="rb")
        return cast("BinaryIO", _Bounded(cast("BinaryIO", zipped), source))
    return cast("BinaryIO", source)


def open_archive(stream: BinaryIO) -> tarfile.TarFile:
    """Read a tar archive from a stream, no header of which is taken into much memory."""
    return tarfile.open(fileobj=stream, mode="r|", bufsize=_TAR_BUFFER, tarinfo=BoundedHeader)


def bounded(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The entries of an archive.

    Raises:
        UserError: There are more than any layer has.
    """
    for count, info in enumerate(archive):
        if count >= MAX_ENTRIES:
            raise UserError(
                f"This layer is not safe to unpack: it has more than {MAX_ENTRIES} entries; "
                "it was not made by bentofn, do not use it."
            )
        yield info


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it is longer than what it is made from lets expect."""

    def __init__(self, stream: BinaryIO, source: HashingReader) -> None:
        self._stream = stream
        self._source = source
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._size += len(data)
        if self._size > PLAIN_FREE + PLAIN_RATIO * self._source.count:
            raise UserError(
                f"This layer is not safe to unpack: {self._source.count} bytes of it hold more "
                f"than {self._size}; it was not made by bentofn, do not use it."
            )
        buffer[: len(data)] = data
        return len(data)


class BoundedHeader(tarfile.TarInfo):
    """A header for `tarfile` that is refused where it would be taken into much memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> BoundedHeader:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENDED and info.size > MAX_HEADER:
            raise tarfile.ReadError("a header is too large")
        return info


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isreg():
        return Member(info.name, 0, f"link:{info.linkname}")
    digest, size = hash_stream(cast("BinaryIO", archive.extractfile(info)))
    return Member(info.name, size, digest)
