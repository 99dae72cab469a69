"""What the page cache holds of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.page_cache import cached_runs, regroup


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """A file of four blocks and a half, none of which the page cache holds."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(4 * HUGE + HUGE // 2))
    opened = os.open(path, os.O_RDONLY)
    os.fsync(opened)
    os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_RANDOM)
    os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
    if list(cached_runs(opened, 0, 5 * HUGE)):
        pytest.skip(f"{tmp_path} is kept in memory, from which nothing is dropped")
    yield opened
    os.close(opened)


def test_regrouping_brings_in_nothing_and_drops_nothing(descriptor: int) -> None:
    os.pread(descriptor, HUGE, 0)  # a whole block
    os.pread(descriptor, HUGE // 2, 2 * HUGE)  # half a block
    before = list(cached_runs(descriptor, 0, 5 * HUGE))
    assert [run for run in before if run[0] < HUGE] == [(0, HUGE)]
    content = os.pread(descriptor, HUGE, 0)
    regroup(descriptor)
    assert list(cached_runs(descriptor, 0, 5 * HUGE)) == before
    assert os.pread(descriptor, HUGE, 0) == content


def test_a_small_or_empty_file_is_let_be(tmp_path: Path) -> None:
    for size in (0, 1, HUGE - 1):
        path = tmp_path / str(size)
        path.write_bytes(bytes(size))
        with path.open("rb") as file:
            regroup(file.fileno())
