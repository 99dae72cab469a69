"""Blocks of weights that a list names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.prefetch.blocks import SMALLEST, Blocks, check_block, cut_blocks
from bentofn.packager.store import Descriptor
from bentofn.runtime.errors import UserError

DIGEST = f"sha256:{'a' * 64}"


@given(st.integers(1, 5 * SMALLEST))
def test_blocks_are_the_blob(size: int) -> None:
    content = bytes(number % 253 for number in range(size))
    blocks = cut_blocks({DIGEST: size}, lambda _, at, length: content[at : at + length])
    found = b""
    for chunk in blocks.chunks(Descriptor("raw", DIGEST, size)):
        assert chunk.offset == chunk.file_offset == len(found)
        found += check_block(content[chunk.offset : chunk.end], chunk)
        with pytest.raises(UserError, match="damaged"):
            check_block(content[chunk.offset : chunk.end] + b"x", chunk)
    assert found == content


def test_large_models_have_larger_blocks() -> None:
    blocks = cut_blocks({}, lambda *_: b"")
    assert blocks.size == SMALLEST
    asked: list[int] = []

    def read(digest: str, offset: int, size: int) -> bytes:
        asked.append(size)
        return b""

    blocks = cut_blocks({DIGEST: 1 << 30}, read)
    assert blocks.size == 2 * SMALLEST
    assert len(asked) == len(blocks.digests[DIGEST]) == 1 << 13


@pytest.mark.parametrize("size", [0, -SMALLEST, SMALLEST + 1, 1 << 40, "64"])
def test_blocks_of_odd_sizes_are_refused(size: object) -> None:
    with pytest.raises(ValueError, match="blocks"):
        Blocks.from_plain({"size": size, "digests": {}})
