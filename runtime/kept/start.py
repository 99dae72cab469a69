"""Where a start meets what is kept: before the service is imported, once it has answered, and in
every copy of its process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bentofn.runtime.layout import BentoRoot

if TYPE_CHECKING:
    from bentofn.runtime.kept.caches import Caches

COMPILERS = ("torch", "triton")
"""Packages that compile while they serve; a bento without them pays nothing for all of this."""

VARIABLES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""By which a user says where to compile; what a service compiles is then the user's to keep."""

WRITES = "BENTOFN_COMPILES"
"""Variable with the directory in which a process compiles, where somebody reads it afterwards."""

_current: list[Caches] = []
"""That of this process, if its bento compiles: the libraries know one directory."""

_later: list[bool] = []
"""Whether this process is told before torch compiles."""


def begin() -> None:
    """Give what compiles its directory; a bento without it, or with its own, is left alone."""
    root = BentoRoot.current()
    if root is None or _current or not any((root.environment / n).is_dir() for n in COMPILERS):
        return
    if any(name in os.environ for name in VARIABLES):
        return  # the user keeps it
    from bentofn.runtime.kept.caches import Caches

    caches = Caches.find(root)
    caches.open()
    caches.lay()
    caches.watch()
    _take(caches)


def answered() -> None:
    """The service has answered its examples."""
    for caches in _current:
        caches.started()
        _later.append(caches.before_compiling(compiling))


def compiling() -> None:
    """Something is about to be compiled; in a copy that comes late, if at all."""
    for caches in _current:
        caches.lay()


def own_directory() -> Path | None:
    """Where a service keeps files of its own; None where nothing is kept."""
    for caches in _current:
        caches.lay()  # a copy has it from its first compilation on, which this may be before
        return caches.own
    return None


def made(name: str, seconds: float) -> None:
    """The service has made a file that it keeps."""
    for caches in _current:
        caches.report.made(name, seconds)


def keeps(path: str) -> bool:
    """Whether a file was compiled by this process and will be kept for later starts."""
    return any(each.recorded and path.startswith(f"{each.writes}/") for each in _current)


def settled() -> None:
    """This process is about to be copied, and killed in the end: its directory goes now, unless it
    has compiled something itself, which copies may map. Copies have their own."""
    for caches in _current:
        if not caches.has_compiled():
            end()


def copied() -> None:
    """This process is a copy, with an environment of its own."""
    for caches in _current:
        own = caches.opened_anew()
        own.open()
        if not any(_later):
            own.lay()
        _take(own)


def resized(count: int) -> None:
    """This process computes with another number of threads from now on."""
    for caches in _current:
        caches.threads.set(count)


def _take(caches: Caches) -> None:
    if not _current:
        import atexit

        atexit.register(end)
    _current[:] = [caches]


def end() -> None:
    """Remove the directory that nobody else looks at; a copy's end removes its own."""
    for caches in _current:
        if not caches.recorded:
            caches.discard()
