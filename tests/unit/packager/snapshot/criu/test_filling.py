"""Memory of another process is filled from a file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from mmap import PAGESIZE as PAGE
from pathlib import Path

import pytest

from bentofn.packager.snapshot.criu.filled import encode_table
from bentofn.packager.snapshot.criu.filling import fill, is_filled
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.plan import Range

SIZE = 20 << 20
OTHER = """
import ctypes, hashlib, mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
sys.stdin.read()
print(hashlib.sha256(memory).hexdigest())
"""


class Other:
    """Another process, which has memory at an address."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(SIZE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.address = int(self._process.stdout.readline())

    def holds(self, content: bytes) -> bool:
        return self._process.communicate()[0].strip() == hashlib.sha256(content).hexdigest()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def other() -> Iterator[Other]:
    process = Other()
    yield process
    process.end()


def write(images: Path, content: bytes, *ranges: Range) -> None:
    (images / "fill.raw").write_bytes(content)
    (images / "fill.json").write_bytes(encode_table(ranges))


@pytest.mark.parametrize("is_cached", [True, False])
def test_memory_is_what_the_file_holds(tmp_path: Path, other: Other, is_cached: bool) -> None:
    content = os.urandom(SIZE)
    first, second = 9 << 20, SIZE - (12 << 20)
    write(
        tmp_path,
        content,
        Range(0, other.address + PAGE, first),
        Range(SIZE - second, other.address + (12 << 20), second),
    )
    if not is_cached:
        with (tmp_path / "fill.raw").open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert is_filled(tmp_path)
    fill(tmp_path, other.pid)
    wanted = bytearray(SIZE)
    wanted[PAGE : PAGE + first] = content[:first]
    wanted[12 << 20 :] = content[SIZE - second :]
    assert other.holds(bytes(wanted))


def test_a_file_that_was_cut_is_an_error(tmp_path: Path, other: Other) -> None:
    write(tmp_path, bytes(PAGE), Range(0, other.address, 2 * PAGE))
    with pytest.raises(UserError, match="was changed"):
        fill(tmp_path, other.pid)


def test_a_process_that_has_ended_is_an_error(tmp_path: Path, other: Other) -> None:
    write(tmp_path, bytes(PAGE), Range(0, other.address, PAGE))
    other.end()
    with pytest.raises(OSError, match="No such process"):
        fill(tmp_path, other.pid)


def test_memory_that_is_not_there_is_an_error(tmp_path: Path, other: Other) -> None:
    write(tmp_path, bytes(PAGE), Range(0, 0, PAGE))
    with pytest.raises(OSError, match="Bad address"):
        fill(tmp_path, other.pid)
