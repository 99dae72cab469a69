"""Write a layer whose files can be fetched alone: independent zstd frames and a table of contents.

Any reader of tar and zstd reads it as it is; the table stands behind the archive in a frame that
readers skip. In containers/storage's format, zstd:chunked, every file starts a frame. Small files
compress badly so, so a layer of many *gathers* them: several share a frame, and the table says
where in it each stands. What podman would then misread has annotations of our own.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

import zstandard

from bentofn.packager.layers.chunk import Chunk
from bentofn.packager.layers.files import LayerEntry, LayerFile, LayerLink
from bentofn.packager.layers.tar import (
    HashingWriter,
    LayerDigests,
    by_path,
    open_content,
    shortened,
    tar_info,
)
from bentofn.packager.layers.tarsplit import TarSplit, crc64
from bentofn.packager.layers.toc import EMPTY, TOC_TYPE, TocEntry
from bentofn.packager.layers.toc_writer import write_toc

GATHERED = 256 << 10
"""Bytes below which a file shares its frame with others, in a layer that gathers."""

_SKIPPABLE = 0x184D2A50
_HEADER = 8
_MAGIC = b"GNUlInUx"


@dataclass(frozen=True)
class Packing:
    """How hard a layer is compressed. Other values give other bytes.

    Args:
        level: The zstd level.
        frame: Plain bytes of the largest frame, which is the least that can be fetched.
    """

    level: int
    frame: int

    @property
    def identity(self) -> str:
        """Names it, so that the same name and the same files give the same bytes."""
        return f"zstd {self.level}, frames of {self.frame}"


FAST = Packing(level=3, frame=1 << 20)
"""For every day. Frames of 1 MiB: with smaller ones a torch environment is larger (4 % with
256 KiB, 10 % with 128 KiB, 15 % with 64 KiB), and it would be 5 % smaller as one frame."""

SMALLEST = Packing(level=18, frame=8 << 20)
"""For releases. Of torch's code 18 saves all but 0.1 % of what 19 saves, in three quarters of its
time; 17 leaves 3 % more, 12 and 15 leave 9 % more. Frames of 8 MiB save 7 % against 1 MiB."""


@dataclass(frozen=True)
class ChunkedDigests:
    """What a written layer is.

    Args:
        layer: Its digests.
        toc: Offset, length and plain length of the table of contents and its checksum; None where
            a path is no Unicode, which the table cannot hold.
        tar_split: Offset, length and plain length of the tar-split, in containers/storage's format.
    """

    layer: LayerDigests
    toc: tuple[int, int, int, str] | None
    tar_split: tuple[int, int, int] | None = None


def write_chunked(
    files: Iterable[LayerEntry], out: BinaryIO, packing: Packing, *, gather: bool
) -> ChunkedDigests:
    """Write files as one archive in frames; the archive is the one that ``write_layer`` writes.

    Frames are compressed on several cores; no more of them than twice the cores are in memory.

    Args:
        files: The entries, in any order, each path once.
        out: Where to write.
        packing: How hard to compress.
        gather: Whether files below :data:`GATHERED` share frames.

    Raises:
        UserError: A file cannot be read, or becomes shorter while it is read.
        ValueError: A path is given twice, leaves the layer, or is both a file and a folder.
    """
    written = HashingWriter(out)
    with _Frames(written, packing.level) as frames:
        archive = _Archive(frames, packing.frame, GATHERED if gather else 0)
        for parts, entry in sorted(by_path(files).items()):
            archive.add("/".join(parts), entry)
        archive.finish()
    place, split = _append_table(written, archive, frames.spans, packing.level)
    layer = LayerDigests(written.digest, archive.diff_id, written.size)
    return ChunkedDigests(layer, place, split)


class _Frames:
    """Compresses frames on threads and writes them in their order."""

    def __init__(self, out: HashingWriter, level: int) -> None:
        self.spans: list[tuple[int, int]] = []
        self.count = 0
        self._out = out
        self._level = level
        self._workers = min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._workers)
        self._local = threading.local()
        self._waiting: deque[Future[bytes]] = deque()

    def __enter__(self) -> _Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, plain: bytes) -> None:
        self._waiting.append(self._pool.submit(self._compress, plain))
        self.count += 1
        self.drain(2 * self._workers)

    def drain(self, most: int) -> None:
        """Write frames until no more than ``most`` wait."""
        while len(self._waiting) > most:
            start = self._out.size
            self._out.write(self._waiting.popleft().result())
            self.spans.append((start, self._out.size))

    def _compress(self, plain: bytes) -> bytes:
        if not hasattr(self._local, "compressor"):
            self._local.compressor = zstandard.ZstdCompressor(level=self._level)
        return cast("bytes", self._local.compressor.compress(plain))


class _Archive:
    """A tar archive that is cut into frames. Chunks name their frame until its place is known."""

    def __init__(self, frames: _Frames, most: int, gathered: int) -> None:
        self.entries: list[TocEntry] = []
        self._frames = frames
        self._most = most
        self._gathered = gathered
        self.split = None if gathered else TarSplit()
        self._open = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def add(self, path: str, entry: LayerEntry | None) -> None:
        if isinstance(entry, LayerFile):
            with open_content(entry) as source:
                size = source.seek(0, io.SEEK_END)
                source.seek(0)
                self._header(tar_info(path, entry, size))
                digest, chunks = self._content(entry, source, size)
            self._pad(bytes(-size % tarfile.BLOCKSIZE))
            made = TocEntry(path, "file", size, entry.executable, "", digest, chunks)
        elif isinstance(entry, LayerLink):
            self._header(tar_info(path, entry, 0))
            self._note(path, 0, 0)
            made = TocEntry(path, "link", target=entry.target)
        else:
            self._header(tar_info(path, entry, 0))
            self._note(f"{path}/", 0, 0)
            made = TocEntry(path, "dir", executable=True)
        self.entries.append(made)

    def finish(self) -> None:
        self._pad(bytes(2 * tarfile.BLOCKSIZE))
        self._pad(bytes(-self._size % tarfile.RECORDSIZE))
        self._flush()
        self._frames.drain(0)

    def _content(
        self, entry: LayerFile, source: BinaryIO, size: int
    ) -> tuple[str, tuple[Chunk, ...]]:
        if size == 0:
            self._note(entry.path, 0, 0)
            return EMPTY, ()
        if size < self._gathered:
            data = _read(entry, source, size)
            if len(self._open) + size > self._most:
                self._flush()
            digest, inner = _digest(data), len(self._open)
            self._append(data)
            return digest, (Chunk(0, size, self._frames.count, 0, digest, inner),)
        self._flush()
        hashed, checksum = hashlib.sha256(), 0
        chunks = []
        for offset in range(0, size, self._most):
            data = _read(entry, source, min(self._most, size - offset))
            hashed.update(data)
            checksum = crc64(data, checksum) if self.split else 0
            chunks.append(Chunk(offset, len(data), self._frames.count, 0, _digest(data)))
            self._append(data)
            self._flush()
        self._note(entry.path, size, checksum)
        return f"sha256:{hashed.hexdigest()}", tuple(chunks)

    def _header(self, info: tarfile.TarInfo) -> None:
        data = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if self.split:
            self.split.header(data)
        self._append(data)

    def _note(self, name: str, size: int, checksum: int) -> None:
        if self.split:
            self.split.file(name, size, checksum)

    def _pad(self, data: bytes) -> None:
        if self.split:
            self.split.padding(data)
        self._append(data)

    def _append(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._open += data
        if len(self._open) > self._most:
            self._flush()

    def _flush(self) -> None:
        if self._open:
            self._frames.add(bytes(self._open))
            self._open.clear()


def _append_table(
    written: HashingWriter, archive: _Archive, spans: list[tuple[int, int]], level: int
) -> tuple[tuple[int, int, int, str] | None, tuple[int, int, int] | None]:
    placed = [
        replace(entry, chunks=tuple(_placed(chunk, spans) for chunk in entry.chunks))
        for entry in archive.entries
    ]
    lines = archive.split.finish() if archive.split else b""
    packed = zstandard.ZstdCompressor(level=level).compress(lines)
    try:
        data, plain = write_toc(placed, level, _digest(packed) if archive.split else None)
    except UnicodeEncodeError:
        return None, None
    place = (written.size + _HEADER, len(data), plain, _digest(data))
    written.write(_skipped(data))
    if archive.split is None:
        return place, None
    split = (written.size + _HEADER, len(packed), len(lines))
    written.write(_skipped(packed))
    written.write(_skipped(struct.pack("<7Q", *place[:3], TOC_TYPE, *split) + _MAGIC))
    return place, split


def _placed(chunk: Chunk, spans: list[tuple[int, int]]) -> Chunk:
    start, end = spans[chunk.offset]
    return replace(chunk, offset=start, end=end)


def _read(entry: LayerFile, source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise shortened(entry)
    return data


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _skipped(data: bytes) -> bytes:
    """A frame that readers of zstd skip. https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2"""
    return struct.pack("<II", _SKIPPABLE, len(data)) + data
