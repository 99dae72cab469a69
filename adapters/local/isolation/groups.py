"""Directories of the kernel's control groups: made, shared out, found again and removed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import atomic_write

_REMOVALS = 100
_PAUSE = 0.02  # seconds between two removals of a group whose processes are still ending


@dataclass(frozen=True)
class Group:
    """A control group.

    Args:
        version: Its hierarchy's.
        path: Its directory.
    """

    version: int
    path: Path


def make_recorded(base: Path, record: Path) -> None:
    """Make a group, and write down that it is there.

    Args:
        base: The group.
        record: A file that lists such groups, as JSON.

    Raises:
        OSError: It cannot be made.
    """
    if base.is_dir():
        return
    # Recorded first: a kill in between leaves a line too many, not a group too many.
    known = _recorded(record)
    atomic_write(record, json.dumps(sorted({*known, str(base)})).encode(), 0o600)
    base.mkdir(mode=0o700)


def share_out(controller: str, group: Path) -> None:
    """Give a controller of version 2 to the groups below one.

    Raises:
        OSError: It has not got it, or holds processes beside this one: a group has either
            processes or groups with controllers ("no internal processes").
    """
    shared = group / "cgroup.subtree_control"
    if controller in shared.read_text().split():
        return
    try:
        shared.write_text(f"+{controller}")
    except OSError as error:
        me = str(os.getpid())
        if error.errno != errno.EBUSY or (group / "cgroup.procs").read_text().split() != [me]:
            raise
        # A group that was given to this process alone, as systemd's Delegate= does.
        (group / "platform").mkdir(exist_ok=True)
        (group / "platform" / "cgroup.procs").write_text(me)
        shared.write_text(f"+{controller}")


def stale_groups(record: Path) -> list[Path]:
    """Groups that are there although their platform has ended; call it when none runs.

    Args:
        record: What :func:`make_recorded` wrote.
    """
    return [Path(path) for path in _recorded(record) if Path(path).is_dir()]


def clear_groups(record: Path) -> None:
    """Kill what is left in a platform's groups and remove them."""
    for base in stale_groups(record):
        clear_group(base)
    if not stale_groups(record):
        record.unlink(missing_ok=True)


def clear_group(base: Path) -> None:
    """Kill what is left in a platform's group and those below it, and remove them."""
    for cell in [path for path in base.iterdir() if path.is_dir()]:
        remove_group(cell)
    remove_group(base)


def remove_group(path: Path) -> None:
    """Kill what is left in a group and remove it; what will not end is left to a later time."""
    for _ in range(_REMOVALS):
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
        else:
            return
        with contextlib.suppress(OSError):
            for pid in (path / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        time.sleep(_PAUSE)


def _recorded(record: Path) -> list[str]:
    try:
        return [str(path) for path in json.loads(record.read_text())]
    except (OSError, ValueError):
        return []
