"""The files of a snapshot as one blob: a zstd frame for each chunk that is not zeros.

Frames stand by themselves, so that they are made, unpacked and checked in parallel, and what was a
hole is one again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import zstandard

from bentofn.packager.snapshot.digests import CHUNK, FileDigest, digest_chunk, read_chunk
from bentofn.runtime.errors import UserError

LEVEL = 6
"""Of zstd: the most that still takes about as long as taking the snapshot did."""

_PAGE = 4096
_AHEAD = 64
"""Chunks in flight: 128 MiB."""

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Frame:
    """A frame of the blob.

    Args:
        file: The file that it is of.
        index: Which chunk of the file.
        offset: Where it begins in the blob.
        size: Its bytes.
    """

    file: FileDigest
    index: int
    offset: int
    size: int

    @property
    def content_size(self) -> int:
        """Bytes of the chunk."""
        return min(CHUNK, self.file.size - self.index * CHUNK)


def data_size(files: Iterable[FileDigest]) -> int:
    """Bytes of the chunks that are not zeros."""
    return sum(CHUNK for file in files for digest in file.chunks if digest)


def frames_of(files: Sequence[FileDigest], sizes: Sequence[int]) -> list[Frame]:
    """Where each frame of a blob stands.

    Args:
        files: The files, in order.
        sizes: Bytes of the frames, in order.

    Raises:
        ValueError: There are more or fewer sizes than chunks, or one is not positive.
    """
    chunks = [(file, i) for file in files for i, digest in enumerate(file.chunks) if digest]
    if any(type(size) is not int or size <= 0 for size in sizes):
        raise ValueError("sizes")
    frames, offset = [], 0
    for (file, index), size in zip(chunks, sizes, strict=True):
        frames.append(Frame(file, index, offset, size))
        offset += size
    return frames


def write_frames(folder: Path, files: Sequence[FileDigest], out: BinaryIO) -> list[int]:
    """Write the blob of a snapshot.

    Args:
        folder: The snapshot.
        files: Its files.
        out: Where to.

    Returns:
        Bytes of each frame, in order.

    Raises:
        UserError: A file is not as its digests say.
    """
    sizes = []
    for file in files:
        descriptor = os.open(folder / file.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            present = (index for index, digest in enumerate(file.chunks) if digest)
            for frame in _in_parallel(partial(_compress, descriptor, file), present):
                out.write(frame)
                sizes.append(len(frame))
        finally:
            os.close(descriptor)
    return sizes


def read_frames(
    blob: Path, files: Sequence[FileDigest], sizes: Sequence[int], folder: Path
) -> None:
    """Make the files of a blob, sparse, each chunk checked.

    Args:
        blob: It.
        files: What it holds; paths that stay in the folder.
        sizes: Bytes of each frame.
        folder: An empty folder, of its owner only.

    Raises:
        UserError: The blob holds something else.
        ValueError: The sizes are not of these files.
        OSError: The files cannot be written.
    """
    frames = iter(frames_of(files, sizes))
    source = os.open(blob, os.O_RDONLY)
    try:
        for file in files:
            target = folder / file.path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            own = islice(frames, sum(1 for digest in file.chunks if digest))
            descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.ftruncate(descriptor, file.size)
                for _ in _in_parallel(partial(_restore, source, descriptor), own):
                    pass
            finally:
                os.close(descriptor)
    finally:
        os.close(source)


def _in_parallel(work: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
    """What becomes of each item, in order; few are in memory at once."""
    waiting = iter(items)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while some := list(islice(waiting, _AHEAD)):
            yield from pool.map(work, some)


def _compress(descriptor: int, file: FileDigest, index: int) -> bytes:
    data = read_chunk(descriptor, index)
    if digest_chunk(data) != file.chunks[index]:
        raise UserError(
            f"{file.path} of the snapshot is not as it was when it was taken; delete the snapshot "
            "(`bentofn snapshot delete`) and take it again."
        )
    return zstandard.ZstdCompressor(level=LEVEL).compress(data)


def _restore(source: int, target: int, frame: Frame) -> None:
    data = _decompress(os.pread(source, frame.size, frame.offset), frame)
    # Without the zeros at both ends, so that what was a hole is none of the disk's.
    begin = (len(data) - len(data.lstrip(b"\0"))) // _PAGE * _PAGE
    end = min(len(data), -(-len(data.rstrip(b"\0")) // _PAGE) * _PAGE)
    if end - begin > CHUNK // 2:  # whole, so that the page cache holds it as one large page
        begin, end = 0, len(data)
    position = frame.index * CHUNK + begin
    view = memoryview(data)[begin:end]
    while view:
        written = os.pwrite(target, view, position)
        view, position = view[written:], position + written


def _decompress(compressed: bytes, frame: Frame) -> bytes:
    size = frame.content_size
    try:
        # The size first: a frame that says more than a chunk is not unpacked at all.
        if zstandard.frame_content_size(compressed) != size:
            raise zstandard.ZstdError("size")
        data = zstandard.ZstdDecompressor().decompress(compressed, max_output_size=size)
    except zstandard.ZstdError as error:
        raise _damaged(frame) from error
    if digest_chunk(data) != frame.file.chunks[frame.index]:
        raise _damaged(frame)
    return data


def _damaged(frame: Frame) -> UserError:
    return UserError(
        f"{frame.file.path} is damaged or was tampered with; have its maker push it again"
    )
