"""Limits that the kernel enforces. Skipped where it lets nobody make control groups."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local.isolation.cells import Cell, Confinement
from bentofn.adapters.local.isolation.groups import stale_groups
from bentofn.adapters.local.isolation.limits import MEBI, Limits
from bentofn.adapters.local.isolation.policy import groups_record
from bentofn.commands.doctor import abandoned_groups
from bentofn.packager.home import Home

HOG = "import sys; sys.stdin.read(1); held = bytearray(200 << 20); print(len(held))"


@pytest.fixture
def confinement(tmp_path: Path) -> Iterator[Confinement]:
    confinement = Confinement(f"bentofn-test-{os.getpid()}", tmp_path / "groups.json")
    note = confinement.cells(Limits(memory=64 * MEBI, cpus=0.5)).note
    if note:
        confinement.close()
        pytest.skip(note)
    yield confinement
    confinement.close()
    assert stale_groups(tmp_path / "groups.json") == []


def make(confinement: Confinement, limits: Limits) -> Cell:
    cell = confinement.cells(limits).make("instance")
    assert cell is not None
    return cell


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def test_who_needs_more_than_its_memory_is_killed_and_the_cell_says_so(
    confinement: Confinement,
) -> None:
    cell = make(confinement, Limits(memory=64 * MEBI))
    with start(HOG) as hog:
        cell.enter(hog.pid)
        assert cell.verdict() == ""
        hog.communicate("x")
    assert hog.returncode == -signal.SIGKILL
    assert "memory limit of 64 MiB (memorySize)" in cell.verdict()
    cell.remove()


def test_who_needs_less_is_left_alone(confinement: Confinement) -> None:
    cell = make(confinement, Limits(memory=512 * MEBI, cpus=0.5))
    with start(HOG) as hog:
        cell.enter(hog.pid)
        assert hog.communicate("x")[0].strip() == str(200 << 20)
    assert cell.verdict() == ""
    cell.remove()


def test_file_pages_do_not_get_anybody_killed(confinement: Confinement, tmp_path: Path) -> None:
    # As a snapshot larger than the limit: mapped privately, read, not written.
    snapshot = tmp_path / "mem.raw"
    snapshot.write_bytes(bytes(128 * MEBI))
    code = (
        "import mmap, sys; sys.stdin.read(1); f = open(sys.argv[1], 'rb'); "
        "m = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ); "
        "print(sum(m[n] for n in range(0, len(m), 4096)))"
    )
    cell = make(confinement, Limits(memory=64 * MEBI))
    command = [sys.executable, "-S", "-c", code, str(snapshot)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        cell.enter(reader.pid)
        with snapshot.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert reader.communicate("x")[0].strip() == "0"
    assert cell.verdict() == ""
    cell.remove()


def test_removing_a_cell_kills_what_is_left_in_it(confinement: Confinement) -> None:
    cell = make(confinement, Limits(memory=64 * MEBI))
    code = (
        "import os, signal, sys; sys.stdin.read(1); os.fork() and signal.pause(); "
        "print('up', flush=True); signal.pause()"
    )
    with start(code) as parent:
        cell.enter(parent.pid)
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write("x")
        parent.stdin.flush()
        assert parent.stdout.readline() == "up\n"
        reaped = threading.Thread(target=parent.wait)  # a zombie would stay in its group
        reaped.start()
        cell.remove()
        reaped.join()
    assert parent.returncode == -signal.SIGKILL


def test_groups_of_a_platform_that_was_killed_are_found_and_cleared(
    tmp_path: Path, confinement: Confinement
) -> None:
    record = tmp_path / "killed.json"
    code = (
        "import os, pathlib, signal, sys\n"
        "from bentofn.adapters.local.isolation.cells import Confinement\n"
        "from bentofn.adapters.local.isolation.limits import MEBI, Limits\n"
        "own = Confinement(f'bentofn-test-killed-{os.getpid()}', pathlib.Path(sys.argv[1]))\n"
        "own.cells(Limits(memory=1 << 26)).make('instance').enter(os.getpid())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(record)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(stale_groups(record)) == 1
    home = Home(tmp_path)
    home.run.mkdir()
    record = record.rename(groups_record(home))
    assert abandoned_groups(home) == stale_groups(record)
    Confinement("another", record).close()
    assert stale_groups(record) == []
    assert not record.exists()
