"""Packs: the hot pages of a bento's files and nothing else, one zstd stream for each place.

The environment's stands alone, so that a model that was trained anew does not ship it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import zstandard

from bentofn.packager.files import CHUNK, temporary_file
from bentofn.packager.prefetch.blocks import NO_BLOCKS, Blocks
from bentofn.packager.prefetch.trace import Range, Trace
from bentofn.runtime.errors import UserError

DEV_LEVEL, RELEASE_LEVEL = 9, 19

MAX_PACK = 16 << 30
"""Bytes of a pack, unpacked, that is written to a disk."""


def write_pack(
    trace: Trace, read: Callable[[str, int, int], bytes], out: BinaryIO, level: int
) -> None:
    """Write the pack of one place.

    Args:
        trace: What was asked for there.
        read: Reads so many bytes of a file from an offset on.
        out: Where to.
        level: zstd's compression level.
    """
    compressor = zstandard.ZstdCompressor(level=level)
    with compressor.stream_writer(out, size=trace.packed_bytes, closefd=False) as stream:
        for file, offset, size in trace.packed:
            for start in range(offset, offset + size, CHUNK):
                stream.write(read(file.path, start, min(CHUNK, offset + size - start)))


@dataclass(frozen=True)
class Pack:
    """The unpacked packs of a bento on this machine, one after the other.

    Args:
        path: The file with the pages.
        places: Path of a file to its ranges and where each starts in :attr:`path`.
        hot: Path of a file to its hot ranges, in the pack or not.
        blocks: Digests of blocks of the weights.
    """

    path: Path
    places: dict[str, list[tuple[Range, int]]] = field(default_factory=dict)
    hot: dict[str, tuple[Range, ...]] = field(default_factory=dict)
    blocks: Blocks = NO_BLOCKS

    def ranges(self, path: str) -> list[tuple[Range, int]]:
        """What there is of a file: each range, and where it starts in the pack."""
        return self.places.get(path, [])


def unpack(trace: Trace, blobs: Sequence[Path], target: Path) -> Pack:
    """Make sure of unpacked packs.

    Args:
        trace: What they hold.
        blobs: They, in order, as their digests say.
        target: The file to write, unless it is there.

    Raises:
        UserError: They hold other bytes than the trace says, or the disk is full.
    """
    if not target.exists():
        with temporary_file(target.parent) as temporary:
            _unpack(blobs, temporary.file, trace.packed_bytes)
            # Not flushed to the disk: it can be made again, and is of no use after a reboot.
            temporary.file.flush()
            temporary.path.replace(target)
    places: dict[str, list[tuple[Range, int]]] = {}
    position = 0
    for file, offset, size in trace.packed:
        places.setdefault(file.path, []).append(((offset, size), position))
        position += size
    hot = {file.path: file.ranges for file in trace.files}
    return Pack(target, places, hot, trace.blocks)


def _unpack(blobs: Sequence[Path], out: BinaryIO, size: int) -> None:
    if size > MAX_PACK:
        raise _damaged(f"it would be {size} bytes")
    written = 0
    try:
        for blob in blobs:
            with blob.open("rb") as file:
                stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file)
                while chunk := stream.read(min(CHUNK, size + 1 - written)):
                    written += len(chunk)
                    if written > size:
                        raise _damaged(f"it is not {size} bytes")
                    out.write(chunk)
    except (zstandard.ZstdError, FileNotFoundError) as error:
        raise _damaged("it cannot be unpacked") from error
    if written != size:
        raise _damaged(f"it is not {size} bytes")


def _damaged(why: str) -> UserError:
    return UserError(
        f"The pack of what to fetch first is damaged ({why}); pull the bento again, "
        "or build and push it anew."
    )
