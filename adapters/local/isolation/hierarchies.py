"""Where this process stands in the kernel's control groups, versions 1 and 2.

Source: https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v2.html and
https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v1/cgroups.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc/self")


@dataclass(frozen=True)
class Hierarchy:
    """A mounted tree of control groups.

    Args:
        version: 1 or 2.
        mount: Its mount point.
        own: The group of this process in it.
    """

    version: int
    mount: Path
    own: Path


def find_hierarchies(proc: Path = PROC) -> Mapping[str, Hierarchy]:
    """The hierarchy of each controller that can be used; none where there are no control groups.

    Args:
        proc: The process's directory in ``/proc``.
    """
    try:
        memberships = (proc / "cgroup").read_text()
        mounts = (proc / "mountinfo").read_text()
    except OSError:
        return {}
    groups = _memberships(memberships)
    found: dict[str, Hierarchy] = {}
    for line in mounts.splitlines():
        # proc_pid_mountinfo(5): what stands before " - " has a varying number of fields.
        before, _, after = line.partition(" - ")
        root, mount = (_unescaped(field) for field in before.split()[3:5])
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup":
            for controller in options.split(","):
                if controller in groups:
                    place = Hierarchy(1, Path(mount), _own(mount, root, groups[controller]))
                    found.setdefault(controller, place)
        elif kind == "cgroup2" and "" in groups:
            place = Hierarchy(2, Path(mount), _own(mount, root, groups[""]))
            for controller in _words(place.own / "cgroup.controllers"):
                found.setdefault(controller, place)
    return found


def _memberships(text: str) -> dict[str, str]:
    """Controller to group, of ``/proc/PID/cgroup`` (cgroups(7)); version 2's stands at ``""``."""
    groups = {}
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = group
    return groups


def _own(mount: str, root: str, group: str) -> Path:
    """The directory of a group, where ``mount`` shows the hierarchy from ``root`` on."""
    prefix = root.rstrip("/")
    inside = group == prefix or group.startswith(f"{prefix}/")
    # A container may show less than it is in: the top of what it shows is all there is to us.
    return Path(mount, group[len(prefix) :].lstrip("/") if inside else "")


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
