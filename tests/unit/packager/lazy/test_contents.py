"""A file whose pages come from the pack, from chunks, and from nowhere."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.layers.chunk import Chunk
from bentofn.packager.lazy.chunks import ChunkCache
from bentofn.packager.lazy.contents import ChunkedRest, LazyContent, Pages
from bentofn.packager.prefetch.blocks import Blocks, check_block, cut_blocks
from bentofn.packager.prefetch.trace import PAGE, runs
from bentofn.packager.store import Descriptor
from bentofn.runtime.errors import UserError

SIZE = 9 * PAGE + 100
CONTENT = bytes((number * 31 + number // 256) % 251 for number in range(SIZE))


def cut(sizes: Sequence[int], content: bytes = CONTENT) -> tuple[bytes, list[Chunk]]:
    """A blob of frames, and its chunks."""
    blob, chunks, offset = b"", [], 0
    for size in sizes:
        piece = content[offset : offset + size]
        frame = zstandard.compress(piece)
        digest = f"sha256:{hashlib.sha256(piece).hexdigest()}"
        chunks.append(Chunk(offset, size, len(blob), len(blob) + len(frame), digest))
        blob, offset = blob + frame, offset + size
    return blob, chunks


class Registry:
    """Gives pieces of a blob, wrong ones while there are faults."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.faults = 0
        self.asked: list[tuple[int, int, bool]] = []

    def fetch(self, chunk: Chunk, remote: bool) -> bytes:
        self.asked.append((chunk.offset, chunk.end, remote))
        if self.faults:
            self.faults -= 1
            return bytes(chunk.end - chunk.offset)
        return self.blob[chunk.offset : chunk.end]


@st.composite
def cuts(draw: st.DrawFn) -> list[int]:
    ends = sorted(draw(st.sets(st.integers(1, SIZE - 1), max_size=6)))
    return [end - start for start, end in zip([0, *ends], [*ends, SIZE], strict=True)]


@given(
    cuts(),
    st.sets(st.integers(0, 9)),
    st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, SIZE))),
)
def test_any_range_is_read_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    hot: set[int],
    reads: list[tuple[int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    blob, chunks = cut(sizes)
    registry = Registry(blob)
    ranges = runs(hot, SIZE)
    pack, places, position = b"", [], 0
    for offset, size in ranges:
        places.append(((offset, size), position))
        pack, position = pack + CONTENT[offset : offset + size], position + size
    (folder / "pack").write_bytes(pack)
    descriptor = os.open(folder / "pack", os.O_RDONLY)
    cache = ChunkCache(folder / "layer.chunks", chunks, registry.fetch)
    rest = ChunkedRest(cache, 0, [chunk.file_offset for chunk in chunks])
    content = LazyContent(SIZE, ranges, Pages(descriptor, places), rest, pytest.fail)
    for offset, size in reads:
        assert content.read(offset, size) == CONTENT[offset : offset + size]
    assert len(registry.asked) == len(set(registry.asked))  # nothing is fetched twice
    assert b"".join(data for _, data in content.hot()) == pack
    if hot >= set(range(10)):
        assert registry.asked == []
    os.close(descriptor)


def test_what_was_fetched_is_kept(tmp_path: Path) -> None:
    blob, chunks = cut([SIZE])
    for asked in (1, 0):
        registry = Registry(blob)
        cache = ChunkCache(tmp_path / "layer.chunks", chunks, registry.fetch)
        assert cache.read(0, 10, 20) == CONTENT[10:30]
        assert len(registry.asked) == asked


def test_a_frame_that_small_files_share_is_fetched_once(tmp_path: Path) -> None:
    piece = CONTENT[:300]
    frame = zstandard.compress(piece)
    chunks = [
        Chunk(
            0, 100, 0, len(frame), f"sha256:{hashlib.sha256(piece[at : at + 100]).hexdigest()}", at
        )
        for at in (0, 100, 200)
    ]
    registry = Registry(frame)
    cache = ChunkCache(tmp_path / "layer.chunks", chunks, registry.fetch)
    assert [cache.read(index, 0, 100) for index in (1, 0, 2)] == [
        piece[100:200],
        piece[:100],
        piece[200:],
    ]
    assert len(registry.asked) == 1


def test_wrong_bytes_are_asked_for_again_and_never_kept(tmp_path: Path) -> None:
    blob, chunks = cut([SIZE])
    registry = Registry(blob)
    registry.faults = 99
    cache = ChunkCache(tmp_path / "layer.chunks", chunks, registry.fetch)
    with pytest.raises(UserError, match="damaged"):
        cache.read(0, 0, 10)
    assert set((tmp_path / "layer.chunks").read_bytes()) == {0}
    # The first may have come from a damaged blob of the store; the others must not.
    assert [remote for _, _, remote in registry.asked] == [False, True, True]
    registry.faults = 1
    assert cache.read(0, 0, 10) == CONTENT[:10]


def test_many_misses_of_one_chunk_are_one_fetch(tmp_path: Path) -> None:
    blob, chunks = cut([SIZE])
    registry, begun, go_on = Registry(blob), threading.Event(), threading.Event()

    def fetch(chunk: Chunk, remote: bool) -> bytes:
        begun.set()
        go_on.wait(30)
        return registry.fetch(chunk, remote)

    cache = ChunkCache(tmp_path / "layer.chunks", chunks, fetch)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.read(0, 0, 50))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    begun.wait(30)
    go_on.set()
    for thread in threads:
        thread.join()
    assert found == [CONTENT[:50]] * 8
    assert len(registry.asked) == 1


def test_bytes_that_cannot_be_had_are_an_error_of_the_disk_and_a_sentence(tmp_path: Path) -> None:
    _, chunks = cut([SIZE])

    def fetch(chunk: Chunk, remote: bool) -> bytes:
        raise UserError("The registry is gone.")

    cache = ChunkCache(tmp_path / "layer.chunks", chunks, fetch)
    said: list[str] = []
    content = LazyContent(SIZE, (), Pages(-1, []), ChunkedRest(cache, 0, [0]), said.append)
    with pytest.raises(OSError) as caught:
        content.read(0, 1)
    assert caught.value.errno == errno.EIO
    assert said == ["The registry is gone."]


def test_blocks_of_weights_are_checked(tmp_path: Path) -> None:
    digest = f"sha256:{'a' * 64}"
    weights = bytes(range(256)) * 1000
    blocks = cut_blocks({digest: len(weights)}, lambda _, at, size: weights[at : at + size])
    again = Blocks.from_plain(blocks.to_plain())
    chunks = again.chunks(Descriptor("", digest, len(weights)))
    assert sum(chunk.size for chunk in chunks) == len(weights)
    registry = Registry(weights)
    cache = ChunkCache(tmp_path / "part.chunks", chunks, registry.fetch, check_block)
    assert cache.read(3, 5, 9) == weights[3 * again.size + 5 :][:9]
    registry.blob = bytes(len(weights))
    with pytest.raises(UserError, match="damaged"):
        cache.read(1, 0, 1)
    with pytest.raises(UserError, match="not all blocks"):
        again.chunks(Descriptor("", digest, 2 * len(weights)))
    assert again.chunks(Descriptor("", f"sha256:{'b' * 64}", 5)) == ()
