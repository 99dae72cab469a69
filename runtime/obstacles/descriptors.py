"""Open descriptors that lead out of the process, or that copies cannot share."""

# ruff: noqa: PTH208 - names of descriptors are numbers, not files

from __future__ import annotations

import os
import re
import select
import stat
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.runtime.obstacles.devices import device
from bentofn.runtime.obstacles.found import Obstacle
from bentofn.runtime.obstacles.sites import Sites
from bentofn.runtime.obstacles.sockets import find_in_socket

DELETED = " (deleted)"

GHOST_LIMIT = 1 << 20
"""Bytes of a deleted file that CRIU keeps at most (``DEFAULT_GHOST_LIMIT`` of its options)."""

_RESTORED = {
    "eventfd", "eventpoll", "fanotify", "inotify", "pidfd", "signalfd", "timerfd",
}  # fmt: skip
"""Nameless files that CRIU restores."""

_OF_A_PROCESS = re.compile(r"/proc/(\d+|self|thread-self)/")
_VOLATILE = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/")
_TICK = 0.01
"""Seconds by which a file's times may lag: a file system asks a clock that ticks with the kernel's
timer, 100 times a second or more. Source: https://man7.org/linux/man-pages/man7/time.7.html
"""
_BOTH = frozenset({os.O_RDONLY, os.O_WRONLY})


@dataclass(frozen=True)
class Open:
    """An open descriptor.

    Args:
        fd: Its number.
        path: What it is, as ``/proc/self/fd`` says it.
        status: What it is, as the system says it.
        flags: How it was opened.
        locked: Whether a lock is held through it.
    """

    fd: int
    path: str
    status: os.stat_result
    flags: int
    locked: bool

    @property
    def writable(self) -> bool:
        """Whether it can be written to."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY


def find_in_descriptors(own: Collection[int], sites: Sites) -> list[Obstacle]:
    """What the open descriptors keep out of a snapshot.

    Args:
        own: Those that are closed or replaced before it.
        sites: Where they were opened.
    """
    opened = {each.fd: each for each in map(_look, os.listdir("/proc/self/fd")) if each}
    streams = {each.status.st_ino for each in opened.values() if each.fd in (0, 1, 2)}
    theirs = {fd: each for fd, each in sorted(opened.items()) if fd not in own}
    found = [(each, _find(each, sites)) for each in theirs.values()]
    found += _pipes(theirs, streams)
    return [
        replace(obstacle, where=obstacle.where or sites.of_descriptor(each.fd))
        for each, obstacle in found
        if obstacle is not None
    ]


def is_volatile(path: str, status: os.stat_result, sites: Sites) -> bool:
    """Whether the service made a file where files do not last."""
    chosen = os.environ.get("TMPDIR")
    places = (*_VOLATILE, f"{chosen}/") if chosen else _VOLATILE
    return path.startswith(places) and status.st_mtime >= sites.since - _TICK


def _look(name: str) -> Open | None:
    fd = int(name)
    try:
        info = Path(f"/proc/self/fdinfo/{fd}").read_text()
        status, path = os.fstat(fd), str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return None  # the listing's own descriptor
    flags = re.search(r"^flags:\s*([0-7]+)$", info, re.MULTILINE)
    return Open(fd, path, status, int(flags[1], 8) if flags else 0, "\nlock:" in info)


def _find(each: Open, sites: Sites) -> Obstacle | None:
    kind = stat.S_IFMT(each.status.st_mode)
    if kind == stat.S_IFSOCK:
        return find_in_socket(each.fd, sites)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        return device(each.path, each.status, sites)
    if kind == stat.S_IFREG:
        return _file(each, sites)
    if kind == 0:
        return _nameless(each)
    return None


def _nameless(each: Open) -> Obstacle | None:
    name = each.path.removeprefix("anon_inode:").strip("[]")
    if name in _RESTORED:
        return None
    if name == "io_uring":
        return Obstacle(IO_URING, advice=IO_URING_ADVICE)
    return Obstacle(f"holds a descriptor of the kind {name}")


def _file(each: Open, sites: Sites) -> Obstacle | None:
    path, where = each.path, sites.of_file(each.path)
    if path.startswith("/memfd:"):
        return None
    if not path.startswith("/"):
        return Obstacle(f"holds a descriptor of the namespace {path}", where)
    if _OF_A_PROCESS.match(path):
        return Obstacle(f"has {path} open, which is another file after a restore", where)
    if each.locked:
        return Obstacle(
            f"holds a lock on {path}", sites.of_lock(each.fd) or where, "take", path=path
        )
    if path.endswith(DELETED):
        return deleted(path, each.status)
    if each.writable:
        what = f"has {path} open for writing, which all copies would write"
        return Obstacle(what, where, path=path)
    return temporary(path, where) if is_volatile(path, each.status, sites) else None


def deleted(path: str, status: os.stat_result) -> Obstacle | None:
    """What keeps a file without a name out of a snapshot, which holds small ones."""
    name = path.removesuffix(DELETED)
    if status.st_nlink:
        return Obstacle(f"holds {name}, which now has another name", path=path)
    if status.st_size <= GHOST_LIMIT:
        return None
    size = f"{status.st_size / 1e6:.0f} MB"
    return Obstacle(f"holds the deleted file {name} ({size})", advice=DELETED_ADVICE, path=path)


def temporary(path: str, where: str) -> Obstacle:
    """A file that a restore needs and that may be gone by then."""
    advice = "keep it in a directory that lasts, for a restore needs it as it is"
    return Obstacle(
        f"uses the temporary file {path}", where, advice=advice, blocks=False, path=path
    )


def _pipes(
    opened: Mapping[int, Open], streams: Collection[int]
) -> list[tuple[Open, Obstacle | None]]:
    ends: dict[int, list[Open]] = defaultdict(list)
    for each in opened.values():
        if stat.S_ISFIFO(each.status.st_mode):
            ends[each.status.st_ino].append(each)
    found: list[tuple[Open, Obstacle | None]] = []
    for inode, (first, *others) in ends.items():
        if inode in streams:
            what = f"holds a copy of a standard stream (descriptor {first.fd})"
            found.append((first, Obstacle(what)))
        elif not _whole([first, *others]):
            name = f"the pipe {first.path}" if first.path.startswith("/") else "a pipe"
            found.append((first, Obstacle(f"holds one end of {name} to another process")))
    return found


def _whole(held: list[Open]) -> bool:
    """Whether no other process has an end of a pipe of which these ends are held."""
    modes = {each.flags & os.O_ACCMODE for each in held}
    if os.O_RDWR in modes or modes >= _BOTH:
        return True
    poller = select.poll()
    poller.register(held[0].fd, 0)  # the hang-up is reported unasked
    return bool(poller.poll(0))


DELETED_ADVICE = "read it and close it before the snapshot, or do not delete it"
IO_URING = "uses io_uring"
IO_URING_ADVICE = (
    "end the event loop (uvloop) or the library that uses it before the snapshot, or start it in a "
    "method marked @bentofn.after_restore"
)
