"""Memory that is not the process's own."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from bentofn.runtime.kept.start import keeps
from bentofn.runtime.obstacles.descriptors import (
    DELETED,
    IO_URING,
    IO_URING_ADVICE,
    deleted,
    is_volatile,
    temporary,
)
from bentofn.runtime.obstacles.devices import device
from bentofn.runtime.obstacles.found import Obstacle
from bentofn.runtime.obstacles.sites import Sites

_LINE = re.compile(r"^(\S+) (\S{4}) \S+ \S+ \d+ +(\S.*)$", re.MULTILINE)
_OWN = ("[", "/dev/zero" + DELETED, "/memfd:", "/[aio]")
"""The stack, the heap, shared anonymous memory, a queue of requests: CRIU keeps them."""


def find_in_mappings(sites: Sites) -> list[Obstacle]:
    """What the mapped files keep out of a snapshot."""
    seen = {(path, access[3]): (span, access) for span, access, path in _mapped()}
    found = [_find(path, span, access, sites) for (path, _), (span, access) in sorted(seen.items())]
    return [obstacle for obstacle in found if obstacle]


def _mapped() -> Iterator[tuple[str, str, str]]:
    """Range, access and path of each mapping that has one."""
    for match in _LINE.finditer(os.fsdecode(Path("/proc/self/maps").read_bytes())):
        if not match[3].startswith(_OWN):
            yield match[1], match[2], match[3]


def _find(path: str, span: str, access: str, sites: Sites) -> Obstacle | None:
    if path.startswith("/SYSV"):
        return Obstacle("holds System V shared memory", verb="create")
    if path.startswith("anon_inode:"):
        ring = "io_uring" in path
        return Obstacle(IO_URING, advice=IO_URING_ADVICE) if ring else None
    status = _status(path, span)
    if status is None:
        return None
    if not stat.S_ISREG(status.st_mode):
        return device(path, status, sites)
    if path.endswith(DELETED):
        return deleted(path, status)
    where = sites.of_file(path)
    if not _is_text(path):
        name = os.fsencode(path).decode(errors="replace")
        return Obstacle(f"maps {name}, whose name is not UTF-8", where, advice="rename it")
    if access[1] == "w" and access[3] == "s":
        what = f"maps {path} shared and writable, so that all copies would write the same memory"
        return Obstacle(what, where, "create", path=path)
    volatile = is_volatile(path, status, sites) and not keeps(path)
    return temporary(path, where) if volatile else None


def _is_text(path: str) -> bool:
    """Whether a snapshot's images, which hold names as UTF-8, can name it."""
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _status(path: str, span: str) -> os.stat_result | None:
    """Of a mapped file, by its mapping where that is permitted, since it may be deleted."""
    for name in (f"/proc/self/map_files/{span}", path):
        try:
            return Path(name).stat()
        except OSError:
            continue
    return None
