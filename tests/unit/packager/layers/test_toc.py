import copy
import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.layers.chunk import MAX_CHUNK, Chunk, read_chunk
from bentofn.packager.layers.toc import MAX_TOC, Toc, TocEntry, read_toc, toc_position
from bentofn.packager.layers.toc_writer import write_toc
from bentofn.packager.store.descriptors import TOC_CHECKSUM, TOC_POSITION, Descriptor
from bentofn.runtime.errors import UserError

DIGEST = "sha256:" + "ab" * 32
EMPTY = f"sha256:{hashlib.sha256().hexdigest()}"
Rows = list[dict[str, Any]]


def checksum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def packed(table: object) -> bytes:
    return zstandard.ZstdCompressor().compress(json.dumps(table).encode())


def read(rows: object) -> Toc:
    data = packed({"version": 1, "entries": rows})
    return read_toc(data, checksum(data))


@st.composite
def tables(draw: st.DrawFn) -> tuple[TocEntry, ...]:
    """Tables as a writer makes them: sorted, parents first, frames one after the other."""
    name = st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
    ).filter(lambda text: text not in (".", ".."))
    entries: list[TocEntry] = []
    offset = 0
    for folder in sorted(draw(st.sets(name, max_size=4))):
        entries.append(TocEntry(folder, "dir", executable=True))
        for file in sorted(draw(st.sets(name, max_size=3))):
            path = f"{folder}/{file}"
            if draw(st.booleans()):
                entries.append(TocEntry(path, "link", target=draw(name)))
                continue
            chunks = []
            reached = 0
            for size in draw(st.lists(st.integers(1, MAX_CHUNK), max_size=4)):
                offset += draw(st.integers(0, 600))
                end = offset + draw(st.integers(1, size + 512))
                chunks.append(Chunk(reached, size, offset, end, checksum(path.encode())))
                offset, reached = end, reached + size
            contiguous = (
                tuple(
                    Chunk(c.file_offset, c.size, c.offset, following.offset, c.digest)
                    if 0 < following.offset - c.offset <= 2 * c.size + 1024
                    else c
                    for c, following in zip(chunks, [*chunks[1:], chunks[-1]], strict=True)
                )
                if chunks
                else ()
            )
            digest = contiguous[0].digest if contiguous else EMPTY
            entries.append(
                TocEntry(path, "file", reached, draw(st.booleans()), "", digest, contiguous)
            )
    return tuple(entries)


def frames_follow(entries: tuple[TocEntry, ...]) -> bool:
    return all(
        left.end == right.offset
        for entry in entries
        for left, right in zip(entry.chunks, entry.chunks[1:], strict=False)
    )


@given(entries=tables().filter(frames_follow))
def test_what_is_written_is_read(entries: tuple[TocEntry, ...]) -> None:
    data, plain = write_toc(entries, 3)
    assert read_toc(data, checksum(data)).entries == entries
    assert len(zstandard.ZstdDecompressor().decompress(data)) == plain


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_in_a_sentence(data: bytes) -> None:
    for raw in (data, zstandard.ZstdCompressor().compress(data)):
        with pytest.raises(UserError, match="table of contents"):
            read_toc(raw, checksum(raw))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=200)
@given(data=st.data())
def test_any_lie_is_read_or_refused(data: st.DataObject) -> None:
    rows = good()
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.sampled_from([*row, "type", "chunkOffset", "mode"]))] = data.draw(
        json_values | st.integers(-5, 5000) | st.sampled_from(["reg", "dir", "chunk", "symlink"])
    )
    try:
        toc = read(rows)
    except UserError:
        return
    for entry in toc.entries:
        assert sum(chunk.size for chunk in entry.chunks) == entry.size
        assert ".." not in entry.path.split("/")


def good() -> Rows:
    return [
        {"type": "dir", "name": "a/", "mode": 0o755},
        {
            **{"type": "reg", "name": "a/one", "mode": 0o755, "size": 10, "digest": DIGEST},
            **{"offset": 100, "endOffset": 120},
        },
        {
            **{"type": "reg", "name": "a/two", "mode": 0o644, "size": 30, "digest": DIGEST},
            **{"offset": 200, "endOffset": 260, "chunkSize": 20, "chunkDigest": DIGEST},
        },
        {
            **{"type": "chunk", "name": "a/two", "offset": 230, "chunkSize": 10},
            **{"chunkOffset": 20, "chunkDigest": DIGEST},
        },
        {"type": "reg", "name": "a/void", "mode": 0o644},
        {"type": "symlink", "name": "a/link", "linkName": "one"},
    ]


def test_the_fields_of_containers_storage_are_read() -> None:
    one, two = Chunk(0, 10, 100, 120, DIGEST), Chunk(0, 20, 200, 230, DIGEST)
    assert read(good()).entries == (
        TocEntry("a", "dir", executable=True),
        TocEntry("a/one", "file", 10, True, "", DIGEST, (one,)),
        TocEntry("a/two", "file", 30, False, "", DIGEST, (two, Chunk(20, 10, 230, 260, DIGEST))),
        TocEntry("a/void", "file", digest=EMPTY),
        TocEntry("a/link", "link", target="one"),
    )


def lie(index: int, **changes: object) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        rows[index].update(changes)
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lie(1, name="../one"), "path"),
        (lie(1, name="/one"), "path"),
        (lie(1, name="a/two"), "twice"),
        (lie(4, name="a/one/below"), "below a file"),
        (lie(1, type="hardlink"), "neither"),
        (lie(1, type="char"), "neither"),
        (lie(1, type="fifo"), "neither"),
        (lie(5, linkName="/etc/passwd"), "leaves"),
        (lie(5, linkName="../../etc"), "leaves"),
        (lie(5, name="opt/bento/env/l", linkName="../src/x"), "leaves"),
        (lie(1, digest="sha256:0"), "digest"),
        (lie(1, offset=90, endOffset=90), "overlap"),
        (lie(2, offset=110), "overlap"),
        (lie(3, offset=190), "overlap"),
        (lie(3, offset=270), "overlap"),
        (lie(2, endOffset=1 << 50), "bounds"),
        (lie(2, endOffset=100_000_000), "too long"),
        (lie(2, size=40), "30|40"),
        (lie(2, size=1 << 50), "bounds"),
        (lie(2, size=-1), "bounds"),
        (lie(2, chunkSize=1 << 30), "bounds"),
        (lie(3, chunkOffset=10), "follow"),
        (lie(3, chunkType="zeros"), "follow"),
        (lie(1, size=1.5), "bounds"),
        (lie(0, type="chunk"), "neither"),
        (lambda rows: [rows[0], rows[3]], "no file"),
    ],
)
def test_a_lying_table_is_refused(change: Callable[[Rows], Rows], why: str) -> None:
    with pytest.raises(UserError, match=f"not safe to use.*({why})"):
        read(change(copy.deepcopy(good())))


@pytest.mark.parametrize(
    "table", [[], {}, {"version": 2, "entries": []}, {"version": 1}, {"version": 1, "entries": {}}]
)
def test_what_is_no_table_is_refused(table: object) -> None:
    data = packed(table)
    with pytest.raises(UserError, match="not safe to use"):
        read_toc(data, checksum(data))


def test_a_table_that_unpacks_to_very_much_is_refused() -> None:
    for size in (2 << 20, MAX_TOC + 1):
        bomb = zstandard.ZstdCompressor(level=19).compress(b"[" * size)
        with pytest.raises(UserError, match="unpacks to more"):
            read_toc(bomb, checksum(bomb))


def test_other_bytes_than_the_checksum_says_are_damaged() -> None:
    data = packed({"version": 1, "entries": good()})
    with pytest.raises(UserError, match="damaged"):
        read_toc(data[:-1], checksum(data))


def layer(position: str | None, size: int = 1000) -> Descriptor:
    annotations = {} if position is None else {TOC_POSITION: position, TOC_CHECKSUM: DIGEST}
    return Descriptor("application/vnd.oci.image.layer.v1.tar+zstd", DIGEST, size, annotations)


def test_the_place_of_the_table() -> None:
    assert toc_position(layer(None)) is None
    assert toc_position(layer("800:100:4000:1")) == (800, 100, DIGEST)


@pytest.mark.parametrize(
    "position",
    ["", "800", "800:100:4000", "800:100:4000:2", "-1:2:3:1", "950:100:1:1", f"1:2:{1 << 40}:1"],
)
def test_a_place_that_makes_no_sense_is_refused(position: str) -> None:
    with pytest.raises(UserError, match="not safe"):
        toc_position(layer(position))


def test_a_chunk_is_checked() -> None:
    plain = random.Random(1).randbytes(1000)
    data = zstandard.ZstdCompressor().compress(plain)
    chunk = Chunk(0, len(plain), 0, len(data), checksum(plain))
    assert read_chunk(data, chunk) == plain
    other = Chunk(0, len(plain), 0, len(data), DIGEST)
    longer = Chunk(0, len(plain) + 1, 0, len(data), checksum(plain))
    huge = Chunk(0, 1 << 40, 0, len(data), checksum(plain))
    for raw, wrong in [(data, other), (data, longer), (data, huge), (data[:-9], chunk)]:
        with pytest.raises(UserError, match="piece of a layer is damaged"):
            read_chunk(raw, wrong)


def test_a_chunk_that_unpacks_to_very_much_is_refused() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 26))
    with pytest.raises(UserError, match="damaged"):
        read_chunk(bomb, Chunk(0, 1 << 26, 0, len(bomb), checksum(bytes(1 << 26))))
