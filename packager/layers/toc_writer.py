"""Write the table of contents of a chunked layer, in containers/storage's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import zstandard

from bentofn.packager.layers.toc import TOC_VERSION, TocEntry


def write_toc(
    entries: Sequence[TocEntry], level: int, tar_split: str | None = None
) -> tuple[bytes, int]:
    """A table of contents, packed, and its bytes unpacked.

    Args:
        entries: In the order of the archive.
        level: The compression level.
        tar_split: Digest of the packed tar-split, if there is one.

    Raises:
        UnicodeEncodeError: A path is no Unicode.
    """
    rows = [row for entry in entries for row in _rows(entry)]
    table: dict[str, Any] = {"version": TOC_VERSION, "entries": rows}
    if tar_split:
        table["tarSplitDigest"] = tar_split
    plain = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    return zstandard.ZstdCompressor(level=level).compress(plain), len(plain)


def _rows(entry: TocEntry) -> Iterator[dict[str, Any]]:
    # The Unix epoch is what the archive says too; podman compares both.
    base = {"modtime": "1970-01-01T00:00:00Z"}
    if entry.kind == "dir":
        yield {"type": "dir", "name": f"{entry.path}/", "mode": 0o755, **base}
        return
    if entry.kind == "link":
        link = {"name": entry.path, "linkName": entry.target}
        yield {"type": "symlink", **link, "mode": 0o777, **base}
        return
    mode = 0o755 if entry.executable else 0o644
    row: dict[str, Any] = {"type": "reg", "name": entry.path, "mode": mode, **base}
    if not entry.chunks:
        yield row
        return
    first, *others = entry.chunks
    row |= {"size": entry.size, "digest": entry.digest}
    row |= {"offset": first.offset, "endOffset": entry.chunks[-1].end}
    if first.inner:
        row["innerOffset"] = first.inner
    yield row | ({"chunkSize": first.size, "chunkDigest": first.digest} if others else {})
    for chunk in others:
        yield {
            "type": "chunk",
            "name": entry.path,
            "offset": chunk.offset,
            "chunkSize": chunk.size,
            "chunkOffset": chunk.file_offset,
            "chunkDigest": chunk.digest,
        }
