"""What processes leave on a machine: looked at before and after, so that a difference is a leak.

Whatever other programs do meanwhile is let pass: only what belongs to a home counts, or to the
process of a platform.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

NAMESPACES = ("mnt", "pid", "time", "net", "ipc")


@dataclass(frozen=True)
class Traces:
    """What is there.

    Args:
        processes: Command lines of processes that mention one of the marks, but for the platform's.
        namespaces: Namespaces that the platform's children are in and it is not.
        mounts: Mounts that the platform sees below the marks.
        groups: Control groups of instances.
        descriptors: How many the platform holds, of what kind: a list with one for each.
        sockets: Sockets of instances.
        files: Files and directories of the home that no living part needs.
    """

    processes: tuple[str, ...]
    namespaces: tuple[str, ...]
    mounts: tuple[str, ...]
    groups: tuple[str, ...]
    descriptors: tuple[str, ...]
    sockets: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def of(cls, home: Path, marks: Sequence[str], platform: int | None) -> Traces:
        """Look now.

        Args:
            home: The home.
            marks: Paths that its processes have on their command line.
            platform: Its platform's process, or None where none runs.
        """
        everywhere = (str(home), *marks)
        return cls(
            processes=tuple(sorted(_processes(everywhere, platform))),
            namespaces=tuple(sorted(_namespaces(everywhere, platform))),
            mounts=tuple(sorted(_mounts(everywhere))),
            groups=tuple(sorted(_groups(home))),
            descriptors=tuple(sorted(_descriptors(platform))),
            sockets=tuple(sorted(_sockets(home))),
            files=tuple(sorted(_files(home))),
        )

    def more_than(self, before: Traces) -> dict[str, list[str]]:
        """What was not there before, by kind; what is there more often counts too."""
        found = {}
        for kind in fields(self):
            now, then = list(getattr(self, kind.name)), list(getattr(before, kind.name))
            for item in then:
                if item in now:
                    now.remove(item)
            if now:
                found[kind.name] = now
        return found


def _each_process() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _processes(marks: Sequence[str], platform: int | None) -> list[str]:
    found = []
    for process in _each_process():
        command = _command(process)
        if any(mark in command for mark in marks) and int(process.name) not in (
            platform,
            os.getpid(),
        ):
            found.append(re.sub(r"(-fd) \d+", r"\1", command)[:200])
    return found


def _workers(platform: int | None) -> int:
    """CRIU's workers, which the platform keeps more or fewer of."""
    return sum(
        " swrk " in _command(process) and _parent(process) == platform
        for process in _each_process()
    )


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _namespaces(marks: Sequence[str], platform: int | None) -> list[str]:
    """The kind of each: a template that is started anew has others, but no more of them."""
    own = {_namespace(Path("/proc/self"), kind) for kind in NAMESPACES}
    found: set[str] = set()
    for process in _each_process():
        if any(mark in _command(process) for mark in marks) and int(process.name) != platform:
            found |= {_namespace(process, kind) for kind in NAMESPACES} - own - {""}
    return [name.partition(":")[0] for name in found]


def _namespace(process: Path, kind: str) -> str:
    try:
        return str((process / "ns" / kind).readlink())
    except OSError:
        return ""


def _mounts(marks: Sequence[str]) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if any(mark in line for mark in marks)]


def _groups(home: Path) -> list[str]:
    name = f"bentofn-{_digest(home)}"
    # Unlike a glob, a walk goes on where somebody else's group has just gone.
    walk = os.walk("/sys/fs/cgroup")
    return [
        f"{path}/{group}" for path, groups, _ in walk if Path(path).name == name for group in groups
    ]


def _digest(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]


def _descriptors(platform: int | None) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{platform}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(entry.readlink())
                if not target.endswith(" (deleted)"):  # a worker's log
                    found.append(target.partition(":")[0])
    for _ in range(_workers(platform)):
        # Its wire, its requests, its pidfd, its work directory.
        for kind in ("socket", "socket", "anon_inode", "/proc"):
            with contextlib.suppress(ValueError):
                found.remove(kind)
    return found


def _sockets(home: Path) -> list[str]:
    directory = Path(tempfile.gettempdir()) / f"bentofn-{os.getuid()}-{_digest(home)}"
    return [path.name for path in directory.glob("*/*")]


def _files(home: Path) -> list[str]:
    kept = ("logs", "locks", "run", "deployments.db", "store", "cache")
    return [
        str(path.relative_to(home))
        for path in home.glob("**/*")
        if path.relative_to(home).parts[0] not in kept
    ]
