"""Cells in directories that look like the kernel's; the kernel's own are in tests/integration."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from bentofn.adapters.local.isolation.cells import Confinement
from bentofn.adapters.local.isolation.groups import stale_groups
from bentofn.adapters.local.isolation.hierarchies import Hierarchy
from bentofn.adapters.local.isolation.limits import MEBI, Limits

LIMITS = Limits(memory=256 * MEBI, cpus=0.5)


def unified(mount: Path, shared: str = "") -> Hierarchy:
    """A tree of version 2 in which the process stands at ``a/b``; ``a`` shares out ``shared``."""
    own = mount / "a" / "b"
    own.mkdir(parents=True)
    for group in (mount, mount / "a", own):
        (group / "cgroup.subtree_control").write_text(shared if group.name == "a" else "")
        (group / "cgroup.procs").write_text("1\n2\n")
    return Hierarchy(2, mount, own)


def test_nothing_is_made_where_nothing_is_limited(tmp_path: Path) -> None:
    cells = Confinement("bentofn-x", tmp_path / "record", {}).cells(Limits())
    assert cells.make("i") is None
    assert cells.note == ""


def test_what_is_not_there_is_said_once(tmp_path: Path) -> None:
    cells = Confinement("bentofn-x", tmp_path / "record", {}).cells(Limits(memory=64 * MEBI))
    assert cells.make("i") is None
    assert cells.note.startswith("memorySize 64 is not enforced: ")


def test_a_mount_that_cannot_be_written_is_said_for_all_limits_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int = 0) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    hierarchies = {name: Hierarchy(1, tmp_path, tmp_path) for name in ("memory", "cpu")}
    confinement = Confinement("bentofn-x", tmp_path / "record", hierarchies)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert confinement.cells(LIMITS).note == (
        "memorySize 256 and cpu 0.5 are not enforced: the platform may not make control groups "
        "here (Read-only file system)"
    )


def test_a_group_of_version_2_holds_all_limits(tmp_path: Path) -> None:
    hierarchy = unified(tmp_path / "cgroup")
    for name in ("bentofn-x",):
        (hierarchy.own / name).mkdir()
        (hierarchy.own / name / "cgroup.subtree_control").write_text("memory cpu")
    (hierarchy.own / "cgroup.subtree_control").write_text("memory cpu")
    confinement = Confinement("bentofn-x", tmp_path / "r", {"memory": hierarchy, "cpu": hierarchy})
    cells = confinement.cells(LIMITS)
    assert cells.note == ""
    cell = cells.make("i")
    assert cell is not None
    group = hierarchy.own / "bentofn-x" / "i"
    assert (group / "memory.max").read_text() == str(256 * MEBI)
    assert (group / "cpu.max").read_text() == "50000 100000"
    cell.enter(77)
    assert (group / "cgroup.procs").read_text() == "77"
    assert cell.verdict() == ""
    (group / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (group / "memory.peak").write_text(str(256 * MEBI))
    assert cell.verdict() == (
        "it needed more than its memory limit of 256 MiB (memorySize); its peak was 256 MiB"
    )


def test_groups_are_written_down_before_they_are_made(tmp_path: Path) -> None:
    record = tmp_path / "record"
    hierarchies = {"memory": Hierarchy(1, tmp_path, tmp_path)}
    confinement = Confinement("bentofn-x", record, hierarchies)
    confinement.cells(Limits(memory=MEBI))
    assert json.loads(record.read_text()) == [str(tmp_path / "bentofn-x")]
    assert stale_groups(record) == [tmp_path / "bentofn-x"]
    confinement.close()
    assert not record.exists()
    assert not (tmp_path / "bentofn-x").exists()
