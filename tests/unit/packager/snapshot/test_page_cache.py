"""What the page cache holds of a file."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.page_cache import cached_runs, devices_of, regroup

_MADVISE = {"x86_64": 28, "aarch64": 233}
_AS_BEFORE_5_14 = """
import ctypes, os, struct, sys
from bentofn.packager.snapshot.page_cache import regroup

# Load the call's number and its third argument; EINVAL for MADV_POPULATE_READ, all else goes on.
steps = [(0x20, 0, 0, 0), (0x15, 0, 3, int(sys.argv[2])), (0x20, 0, 0, 32), (0x15, 0, 1, 22),
         (0x06, 0, 0, 0x50016), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = struct.pack("@HP", len(steps), ctypes.addressof(code))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert prctl(22, 2, program) == 0  # PR_SET_SECCOMP
regroup(int(sys.argv[1]))
"""
_AS_NOBODY = """
import os, sys
from bentofn.packager.snapshot.page_cache import regroup

os.setuid(65534)
regroup(int(sys.argv[1]))
"""


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


@pytest.mark.skipif(platform.machine() not in _MADVISE, reason="the call's number is not known")
def test_a_kernel_that_cannot_bring_back_what_it_drops_keeps_it(descriptor: int) -> None:
    os.pread(descriptor, 2 * HUGE, 0)
    before = list(cached_runs(descriptor, 0, 5 * HUGE))
    assert before[0][1] >= 2 * HUGE
    in_another_process(_AS_BEFORE_5_14, descriptor, str(_MADVISE[platform.machine()]))
    assert list(cached_runs(descriptor, 0, 5 * HUGE)) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nothing_is_brought_in_by_who_is_not_told_what_is_there(descriptor: int) -> None:
    in_another_process(_AS_NOBODY, descriptor)
    assert list(cached_runs(descriptor, 0, 5 * HUGE)) == []


def test_what_the_disk_does_not_have_yet_is_not_lost(tmp_path: Path) -> None:
    content = os.urandom(2 * HUGE)
    path = tmp_path / "new"
    path.write_bytes(content)
    with path.open("rb") as file:
        regroup(file.fileno())
    assert path.read_bytes() == content


def test_a_small_or_empty_file_is_let_be(tmp_path: Path) -> None:
    for size in (0, 1, HUGE - 1):
        path = tmp_path / str(size)
        path.write_bytes(bytes(size))
        with path.open("rb") as file:
            regroup(file.fileno())


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="this host is no Linux")
def test_file_systems_are_known_by_their_kind() -> None:
    assert Path("/proc").stat().st_dev in devices_of(("nfs", "proc"))
    assert Path("/proc").stat().st_dev not in devices_of(("nfs",))


def in_another_process(code: str, descriptor: int, *arguments: str) -> None:
    command = [sys.executable, "-c", code, str(descriptor), *arguments]
    subprocess.run(command, pass_fds=[descriptor], check=True, timeout=60)
