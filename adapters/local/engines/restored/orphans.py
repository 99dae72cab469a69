"""What a platform leaves that is killed in the same moment as its CRIU: half-restored processes.

A restored process ends with its platform, but only once it runs. Where both are killed while CRIU
restores, what CRIU has forked by then waits for a parent that never comes.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def end_orphans(snapshots: Path) -> list[int]:
    """Kill what earlier platforms of a home began to restore; call it before anything is restored.

    Args:
        snapshots: The home's snapshots.

    Returns:
        The processes that were killed.
    """
    snapshots = snapshots.resolve()
    killed = []
    for pid in _processes():
        # One may end meanwhile.
        with contextlib.suppress(OSError, ValueError):
            if pid != os.getpid() and _is_of(pid, snapshots) and _is_adopted(pid, snapshots):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    return killed


def _is_of(pid: int, snapshots: Path) -> bool:
    """Whether CRIU forked a process to restore one of these snapshots.

    It writes to CRIU's log, or is in a namespace of its own already with memory of a snapshot: no
    command that a user runs is either.
    """
    process = Path(f"/proc/{pid}")
    with contextlib.suppress(FileNotFoundError):  # closed by then
        if (process / "fd/2").readlink().parent == snapshots:
            return True
    if (process / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink():
        return False
    return b" %b/" % os.fsencode(snapshots) in (process / "maps").read_bytes()


def _is_adopted(pid: int, snapshots: Path) -> bool:
    """Whether a process that was restored has lost the one that had it restored.

    Who restores (a platform, or a command that takes a snapshot or tries one) has its snapshot, or
    its CRIU's log, open; it may well be who adopts in its container, process 1. What was restored
    may fork.
    """
    parent = _parent(pid)
    if parent == os.getpid():
        return True
    try:
        restores = any(link.is_relative_to(snapshots) for link in _open_files(parent))
        return not (restores or _is_of(parent, snapshots))
    except PermissionError:
        return _adopts(parent, snapshots.stat().st_uid) and not _holds_lock(parent, snapshots)


def _adopts(pid: int, owner: int) -> bool:
    """Whether a process that may not be read adopts, and does not restore for this home's owner.

    Process 1 of a container has privileges that who enters it may not have, and so may a platform.
    """
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {name: values.split() for name, _, values in (each.partition(":") for each in status)}
    return fields.get("NSpid", [""])[-1] == "1" or fields["Uid"][0] != str(owner)


def _holds_lock(pid: int, snapshots: Path) -> bool:
    """Whether a process holds a lock of this home, as who takes or restores a snapshot does.

    Source: https://man7.org/linux/man-pages/man5/proc_locks.5.html
    """
    locked = {str(each.stat().st_ino) for each in snapshots.parent.glob("locks/*")}
    locked |= {str(each.stat().st_ino) for each in snapshots.iterdir()}
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(row[4] == str(pid) and row[5].rpartition(":")[2] in locked for row in rows)


def _open_files(pid: int) -> Iterator[Path]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield descriptor.readlink()


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            yield int(entry.name)


def _parent(pid: int) -> int:
    # The name before it, in brackets, may hold anything.
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
