"""Files mapped, in whatever pages the kernel has of them."""

from __future__ import annotations

import os
import sys
from mmap import MADV_RANDOM, PAGESIZE, PROT_READ, mmap
from pathlib import Path

import pytest

from bentofn.runtime.weights import memory as memory_
from bentofn.runtime.weights.memory import Residency, mapped, populate

SIZE = (50 << 20) + 12_345
linux = pytest.mark.skipif(sys.platform != "linux", reason="the page cache is Linux's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(1 << 20) * (SIZE >> 20) + bytes(SIZE % (1 << 20)))
    return path


def forget(descriptor: int) -> None:
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def read_page_by_page(descriptor: int, start: int, stop: int) -> None:
    with mmap(descriptor, 0, prot=PROT_READ) as memory:
        memory.madvise(MADV_RANDOM)
        bytes(memory[start:stop:PAGESIZE])


@linux
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cached", [(0, 0), (0, SIZE), (0, SIZE // 2), (SIZE // 2, SIZE)], ids=str)
def test_a_mapping_has_what_the_file_has(file: Path, cached: tuple[int, int], threads: int) -> None:
    with file.open("rb+") as opened:
        forget(opened.fileno())
        read_page_by_page(opened.fileno(), *cached)
        memory = mapped(opened.fileno(), SIZE)
        populate(memory, opened.fileno(), threads)
    assert memory[:] == file.read_bytes()


@linux
def test_an_older_kernel_has_the_file_read_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_, "_MADV_POPULATE_READ", 9999)  # which none knows
    with file.open("rb+") as opened:
        forget(opened.fileno())
        populate(mapped(opened.fileno(), SIZE), opened.fileno())
        residency = Residency(opened.fileno(), SIZE)
        assert all(residency.has(at, 1) for at in range(0, SIZE, PAGESIZE))
        forget(opened.fileno())
        memory = mapped(opened.fileno(), SIZE)
        opened.truncate(PAGESIZE)
        with pytest.raises(OSError, match="Bad address"):
            populate(memory, opened.fileno())


@linux
@pytest.mark.parametrize("keep", [0, PAGESIZE, SIZE // 2])
def test_a_file_that_became_shorter_is_an_error_and_ends_no_process(file: Path, keep: int) -> None:
    with file.open("rb+") as opened:
        forget(opened.fileno())
        read_page_by_page(opened.fileno(), 0, SIZE)
        memory = mapped(opened.fileno(), SIZE)
        opened.truncate(keep)
        with pytest.raises(OSError, match="Bad address"):
            populate(memory, opened.fileno())
