"""Where a start meets what is kept: before the service is imported, once it has answered, and in
every copy of its process."""

from __future__ import annotations

import os
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
    caches.watch(root.environment)
    _take(caches)


def answered() -> None:
    """The service has answered its examples."""
    for caches in _current:
        caches.started()


def keeps(path: str) -> bool:
    """Whether a file was compiled by this process and will be kept for later starts."""
    return any(each.recorded and path.startswith(f"{each.writes}/") for each in _current)


def copied() -> None:
    """This process is a copy, with an environment of its own."""
    for caches in _current:
        own = caches.opened_anew()
        own.open()
        _take(own)


def _take(caches: Caches) -> None:
    _current[:] = [caches]
    if not caches.recorded:
        import atexit

        atexit.register(caches.discard)
