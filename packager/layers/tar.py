"""Write a layer: the same files give the same bytes, whatever their order, times and owners."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

import zstandard

from bentofn.packager.files import CHUNK
from bentofn.packager.layers.files import LayerEntry, LayerFile, LayerLink, check_link, check_path
from bentofn.packager.layers.gzip import GzipWriter
from bentofn.packager.store.blobs import open_source
from bentofn.runtime.errors import UserError

Compression = Literal["zstd", "gzip", "none"]

ZSTD_LEVEL = 3
ZSTD_THREADS = 4
"""Any number from 1 gives the same bytes; 0 gives others (measured with zstandard 0.25)."""


@dataclass(frozen=True)
class LayerDigests:
    """What a written layer is.

    Args:
        digest: Digest of the written bytes.
        diff_id: Digest of the tar archive before compression.
        size: Bytes written.
    """

    digest: str
    diff_id: str
    size: int


def write_layer(
    files: Iterable[LayerEntry],
    out: BinaryIO,
    compression: Compression = "zstd",
    level: int = ZSTD_LEVEL,
) -> LayerDigests:
    """Write files as one tar archive: sorted, parents first, times and owners zero.

    Nothing is held in memory but the list of entries.

    Args:
        files: The entries, in any order, each path once.
        out: Where to write.
        compression: How to compress.
        level: The level of zstd.

    Raises:
        UserError: A file cannot be read, or becomes shorter while it is read.
        ValueError: A path is given twice, leaves the layer, or is both a file and a folder.
    """
    entries = by_path(files)
    written = HashingWriter(out)
    with compressor(written, compression, level) as compressed:
        plain = HashingWriter(compressed)
        archive = tarfile.TarFile(
            fileobj=cast("Any", plain),
            mode="w",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            copybufsize=CHUNK,
        )
        with archive:
            for parts, entry in sorted(entries.items()):
                _add(archive, "/".join(parts), entry)
    return LayerDigests(written.digest, plain.digest, written.size)


class HashingWriter(io.RawIOBase):
    """A file whose bytes are hashed and counted as they are written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        self._out.write(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size


@contextmanager
def compressor(
    out: HashingWriter, compression: Compression, level: int = ZSTD_LEVEL
) -> Iterator[BinaryIO]:
    """A file that is compressed into another; it is whole when the context ends."""
    if compression == "zstd":
        packer = zstandard.ZstdCompressor(level=level, threads=ZSTD_THREADS)
        with packer.stream_writer(cast("BinaryIO", out), closefd=False) as stream:
            yield cast("BinaryIO", stream)
    elif compression == "gzip":
        with GzipWriter(cast("BinaryIO", out)) as zipped:
            yield cast("BinaryIO", zipped)
    else:
        yield cast("BinaryIO", out)


def by_path(files: Iterable[LayerEntry]) -> dict[tuple[str, ...], LayerEntry | None]:
    """Entries by their path's components, with None for each parent directory.

    Raises:
        ValueError: As :func:`write_layer`.
    """
    entries: dict[tuple[str, ...], LayerEntry | None] = {}
    for entry in files:
        parts = check_path(entry.path)
        if parts in entries:
            raise ValueError(f"twice in one layer: {entry.path!r}")
        if isinstance(entry, LayerLink):
            check_link(entry.path, entry.target)
        entries[parts] = entry
    for parts in list(entries):
        for length in range(1, len(parts)):
            if entries.setdefault(parts[:length], None) is not None:
                raise ValueError(f"both a file and a folder: {'/'.join(parts[:length])!r}")
    return entries


def tar_info(path: str, entry: LayerEntry | None, size: int) -> tarfile.TarInfo:
    """The header of an entry, or of the folder that None stands for.

    Args:
        path: Its path in the layer.
        entry: The entry.
        size: Bytes of a file's content.
    """
    info = tarfile.TarInfo(path)
    if entry is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    elif isinstance(entry, LayerLink):
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
    else:
        info.size, info.mode = size, 0o755 if entry.executable else 0o644
    return info


def open_content(entry: LayerFile) -> BinaryIO:
    """The content of a file of a layer.

    Raises:
        UserError: It cannot be read.
    """
    if isinstance(entry.source, bytes):
        return io.BytesIO(entry.source)
    return open_source(entry.source)


def shortened(entry: LayerFile) -> UserError:
    """What is said of a file that another process cuts short."""
    return UserError(
        f"{entry.source!s} became shorter while it was packed; stop what writes it and try again."
    )


def _add(archive: tarfile.TarFile, path: str, entry: LayerEntry | None) -> None:
    if not isinstance(entry, LayerFile):
        archive.addfile(tar_info(path, entry, 0))
        return
    with open_content(entry) as source:
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        try:
            archive.addfile(tar_info(path, entry, size), source)
        except OSError as error:
            if error.errno is not None:
                raise
            raise shortened(entry) from error
