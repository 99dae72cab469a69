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
    files: Iterable[LayerEntry], out: BinaryIO, compression: Compression = "zstd"
) -> LayerDigests:
    """Write files as one tar archive: sorted, parents first, times and owners zero.

    Nothing is held in memory but the list of entries.

    Args:
        files: The entries, in any order, each path once.
        out: Where to write.
        compression: How to compress.

    Raises:
        UserError: A file cannot be read, or becomes shorter while it is read.
        ValueError: A path is given twice, leaves the layer, or is both a file and a folder.
    """
    entries = _by_path(files)
    written = HashingWriter(out)
    with compressor(written, compression) as compressed:
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
def compressor(out: HashingWriter, compression: Compression) -> Iterator[BinaryIO]:
    """A file that is compressed into another; it is whole when the context ends."""
    if compression == "zstd":
        packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=ZSTD_THREADS)
        with packer.stream_writer(cast("BinaryIO", out), closefd=False) as stream:
            yield cast("BinaryIO", stream)
    elif compression == "gzip":
        with GzipWriter(cast("BinaryIO", out)) as zipped:
            yield cast("BinaryIO", zipped)
    else:
        yield cast("BinaryIO", out)


def _by_path(files: Iterable[LayerEntry]) -> dict[tuple[str, ...], LayerEntry | None]:
    """Entries by their path's components, with None for each parent directory."""
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


def _add(archive: tarfile.TarFile, path: str, entry: LayerEntry | None) -> None:
    info = tarfile.TarInfo(path)
    if entry is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    elif isinstance(entry, LayerLink):
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
        archive.addfile(info)
    else:
        _add_file(archive, info, entry)


def _add_file(archive: tarfile.TarFile, info: tarfile.TarInfo, entry: LayerFile) -> None:
    info.mode = 0o755 if entry.executable else 0o644
    if isinstance(entry.source, bytes):
        info.size = len(entry.source)
        archive.addfile(info, io.BytesIO(entry.source))
        return
    with open_source(entry.source) as source:
        info.size = source.seek(0, io.SEEK_END)
        source.seek(0)
        try:
            archive.addfile(info, source)
        except OSError as error:
            if error.errno is not None:
                raise
            raise UserError(
                f"{entry.source} became shorter while it was packed; "
                "stop what writes it and try again."
            ) from error
