"""The table of contents of a zstd:chunked layer: where every file's chunks stand in the blob.

The layout is containers/storage's, which podman and skopeo read. It is not standardised; its
reference is the code: https://github.com/containers/storage/tree/v1.59.1/pkg/chunked
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import zstandard

from bentofn.packager.layers.chunk import MAX_CHUNK, Chunk
from bentofn.packager.layers.files import check_link, check_path
from bentofn.packager.store.descriptors import (
    LAYER_TOC_CHECKSUM,
    LAYER_TOC_POSITION,
    TOC_CHECKSUM,
    TOC_POSITION,
    Descriptor,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX

TOC_VERSION = 1
TOC_TYPE = 1
"""``ManifestTypeCRFS``, the only type there is."""

MAX_TOC = 32 << 20
"""Bytes of a table, unpacked: that of a 10 GB layer in chunks of 64 KiB is smaller."""


MAX_FILE = 1 << 40
"""Bytes of the largest file that a table may name."""

_PLAIN_RATIO, _PLAIN_FREE = 200, 1 << 20
EMPTY = f"sha256:{hashlib.sha256().hexdigest()}"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_POSITION = re.compile(r"(\d{1,15}):(\d{1,15}):(\d{1,15}):1")
_ROOM = len(ARCHIVE_PREFIX.split("/")) + 1
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError)


@dataclass(frozen=True)
class TocEntry:
    """A file, folder or symbolic link of a layer.

    Args:
        path: Its path in the layer.
        kind: What it is.
        size: Bytes of its content; 0 unless it is a file.
        executable: Whether its mode is 0755 instead of 0644; a folder always is.
        target: What a link points to.
        digest: ``sha256:HEX`` of a file's content.
        chunks: A file's pieces in order, without gaps; none for an empty one.
    """

    path: str
    kind: Literal["file", "dir", "link"]
    size: int = 0
    executable: bool = False
    target: str = ""
    digest: str = ""
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True)
class Toc:
    """What a layer holds.

    Args:
        entries: In the order of the archive: parents first, and each chunk after the one before.
    """

    entries: tuple[TocEntry, ...]


def toc_position(layer: Descriptor) -> tuple[int, int, str] | None:
    """Where the packed table of contents of a layer stands in its blob.

    Returns:
        Its offset and length in bytes and its checksum; None for a layer that is not chunked.

    Raises:
        UserError: The layer's annotations make no sense.
    """
    for names in ((TOC_POSITION, TOC_CHECKSUM), (LAYER_TOC_POSITION, LAYER_TOC_CHECKSUM)):
        position, checksum = (layer.annotations.get(name) for name in names)
        if position is not None and checksum is not None:
            return _place(layer, position, checksum)
    return None


def _place(layer: Descriptor, position: str, checksum: str) -> tuple[int, int, str]:
    match = _POSITION.fullmatch(position)
    if match is None or not _DIGEST.fullmatch(checksum):
        raise _unsafe(f"the layer {layer.digest} says it stands at {position[:80]!r}")
    offset, length, plain = (int(number) for number in match.groups())
    if offset + length > layer.size or max(length, plain) > MAX_TOC:
        raise _unsafe(f"the layer {layer.digest} says it stands at {position[:80]!r}")
    return offset, length, checksum


def read_toc(data: bytes, checksum: str) -> Toc:
    """Read a table of contents and check all that it says.

    Args:
        data: The table, packed, from :func:`toc_position`'s place in the blob.
        checksum: From there too.

    Raises:
        UserError: The bytes are others than the checksum says, or no table, or one that no writer
            of layers makes: paths or links that lead out, chunks that overlap, huge sizes.
    """
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != checksum:
        raise UserError(
            "The table of contents of a layer is damaged: its bytes are others than its checksum "
            f"{checksum[:80]} says; pull or build the bento again."
        )
    try:
        raw = json.loads(_unpack(data))
        if raw["version"] != TOC_VERSION or not isinstance(raw["entries"], list):
            raise ValueError(f"it has version {raw['version']!r}")
        return Toc(tuple(_entries(raw["entries"])))
    except _MALFORMED as error:
        raise _unsafe(str(error) if type(error) is ValueError else "it cannot be read") from error


def _unpack(data: bytes) -> bytes:
    limit = min(MAX_TOC, max(_PLAIN_FREE, _PLAIN_RATIO * len(data)))
    try:
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_TOC)
        plain = decompressor.stream_reader(io.BytesIO(data)).read(limit + 1)
    except zstandard.ZstdError as error:
        raise ValueError("it is not packed with zstd") from error
    if len(plain) > limit:
        raise ValueError(f"it unpacks to more than {limit} bytes")
    return plain


def _entries(rows: Sequence[Mapping[str, Any]]) -> Iterator[TocEntry]:
    seen: dict[tuple[str, ...], bool] = {}
    position, last = 0, None
    while position < len(rows):
        row, position = rows[position], position + 1
        start = position
        while position < len(rows) and rows[position]["type"] == "chunk":
            position += 1
        entry = _entry(row, rows[start:position], last)
        _claim(seen, check_path(entry.path), entry.kind == "dir")
        last = entry.chunks[-1] if entry.chunks else last
        yield entry


def _entry(
    row: Mapping[str, Any], pieces: Sequence[Mapping[str, Any]], last: Chunk | None
) -> TocEntry:
    kind, name = row["type"], _text(row["name"])
    if kind == "reg":
        return _file(name, row, pieces, last)
    if pieces:
        raise ValueError(f"{name!r} is in chunks, but no file")
    if kind == "dir":
        return TocEntry(name.removesuffix("/"), "dir", executable=True)
    if kind == "symlink":
        target = _text(row["linkName"])
        inside = name.split("/")[_ROOM:] if name.startswith(f"{ARCHIVE_PREFIX}/") else []
        check_link("/".join(inside) or name, target)
        return TocEntry(name, "link", target=target)
    raise ValueError(f"{name!r} is neither a file, a folder nor a symbolic link")


def _file(
    path: str, row: Mapping[str, Any], pieces: Sequence[Mapping[str, Any]], last: Chunk | None
) -> TocEntry:
    size = _number(row.get("size", 0), MAX_FILE)
    executable = bool(_number(row.get("mode", 0), 0o7777) & 0o100)
    if size == 0:
        if pieces or row.get("digest", EMPTY) != EMPTY:
            raise ValueError(f"{path!r} is empty, but has content")
        return TocEntry(path, "file", 0, executable, digest=EMPTY)
    digest = _digest(row["digest"])
    whole = {**row, "chunkSize": size, "chunkDigest": digest}
    chunks = _chunks([row, *pieces] if pieces else [whole], _number(row["endOffset"], MAX_FILE))
    known = (*([last] if last else []), *chunks)
    if not all(_follows(chunk, before) for before, chunk in pairwise(known)):
        raise ValueError(f"the chunks of {path!r} overlap others")
    if sum(chunk.size for chunk in chunks) != size:
        raise ValueError(f"the chunks of {path!r} are not {size} bytes")
    return TocEntry(path, "file", size, executable, digest=digest, chunks=chunks)


def _chunks(rows: Sequence[Mapping[str, Any]], end: int) -> tuple[Chunk, ...]:
    offsets = [*(_number(row["offset"], MAX_FILE) for row in rows), end]
    chunks: list[Chunk] = []
    reached = 0
    for index, row in enumerate(rows):
        size = _number(row["chunkSize"], MAX_CHUNK)
        if size == 0 or row.get("chunkOffset", 0) != reached or row.get("chunkType"):
            raise ValueError(f"the chunks of {str(row['name'])[:200]!r} do not follow each other")
        start, stop = offsets[index], offsets[index + 1]
        inner = _number(row.get("innerOffset", 0), MAX_CHUNK if len(rows) == 1 else 0)
        if not start < stop <= start + 2 * MAX_CHUNK or inner + size > MAX_CHUNK:
            raise ValueError(f"the chunks of {str(row['name'])[:200]!r} overlap or are too long")
        chunks.append(Chunk(reached, size, start, stop, _digest(row["chunkDigest"]), inner))
        reached += size
    return tuple(chunks)


def _follows(chunk: Chunk, before: Chunk) -> bool:
    """Whether a chunk is in a later frame than another, or later in the same one."""
    if (chunk.offset, chunk.end) == (before.offset, before.end):
        return chunk.inner >= before.inner + before.size
    return chunk.offset >= before.end


def _claim(seen: dict[tuple[str, ...], bool], parts: tuple[str, ...], folder: bool) -> None:
    """Note a path; only a folder may be named twice, and only folders have paths below."""
    path = "/".join(parts)
    if parts in seen and not (seen[parts] and folder):
        raise ValueError(f"{path!r} stands there twice")
    for length in range(len(parts) - 1, 0, -1):
        above = seen.setdefault(parts[:length], True)
        if not above:
            raise ValueError(f"{path!r} is below a file")
    seen[parts] = folder


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 4096:
        raise ValueError("a name is no text")
    return value


def _number(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"a number is out of bounds: {str(value)[:40]}")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError("a digest is none")
    return value


def _unsafe(why: str) -> UserError:
    return UserError(
        f"The table of contents of a layer is not safe to use: {why}; "
        "it was not made by bentofn, do not use it."
    )
