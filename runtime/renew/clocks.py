"""The monotonic clock of a restored process: it has gone on while the snapshot lay.

A restored process sees CLOCK_MONOTONIC go on from the moment of the dump, as CRIU has put it into a
time namespace of its own, or sees the host's, which started anew if the host did. Either way what
was to expire by that clock (a token, a name's address, an entry of a cache) would be kept too long.
So the clock is set on by the time that has passed, as for a process that was stopped, or for a
template that was forked late: a deadline that has passed meanwhile has passed. The kernel lets only
a process of one thread do that; one with more keeps the clock of the dump.

Source: https://man7.org/linux/man-pages/man7/time_namespaces.7.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

TOLERANCE = 1.0
"""Seconds that the clock may be wrong by: below it, it is the wall clock that was set."""

_CLONE_NEWTIME = 0x80  # linux/sched.h
_OFFSETS = Path("/proc/self/timens_offsets")
_OWN = Path("/proc/self/ns/time_for_children")


@dataclass(frozen=True)
class Moment:
    """A moment on both clocks.

    Args:
        wall: Seconds since 1970.
        monotonic: Seconds of CLOCK_MONOTONIC.
    """

    wall: float
    monotonic: float

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        return cls(time.time(), time.monotonic())

    def behind(self, since: Moment) -> float:
        """Seconds that the monotonic clock lacks, if it was right at an earlier moment.

        A wall clock that was set back says nothing of how much time passed; then none has.
        """
        passed = max(self.wall - since.wall, 0.0)
        return since.monotonic + passed - self.monotonic


def find_clocks() -> list[Callable[[], None]]:
    """The function that sets the clock on by what has passed since now."""
    if not _OFFSETS.exists():
        return []
    return [partial(_renew_clock, Moment.now(), ctypes.CDLL(None, use_errno=True))]


def _renew_clock(since: Moment, libc: Any) -> None:
    behind = Moment.now().behind(since)
    if abs(behind) < TOLERANCE:
        return
    try:
        _set_on(behind, libc)
    except OSError as error:
        print(
            f"bentofn: the monotonic clock is {behind:.0f} s behind and cannot be set on "
            f"({_why(error)}): what expires by it expires late",
            file=sys.stderr,
        )


def _why(error: OSError) -> str:
    return "the service keeps threads" if error.errno == errno.EUSERS else str(error.strerror)


def _set_on(seconds: float, libc: Any) -> None:
    """Join a new time namespace, in which the clocks are set on.

    Raises:
        OSError: This process may not, or has threads.
    """
    offsets = [line.split() for line in _OFFSETS.read_text().splitlines()]
    _check(libc.unshare(_CLONE_NEWTIME))
    lines = []
    for clock, whole, nanoseconds in offsets:
        total = int(whole) * 10**9 + int(nanoseconds) + int(seconds * 1e9)
        lines.append(f"{clock} {total // 10**9} {total % 10**9}\n")
    _OFFSETS.write_text("".join(lines))
    fd = os.open(_OWN, os.O_RDONLY)
    try:
        _check(libc.setns(fd, _CLONE_NEWTIME))
    finally:
        os.close(fd)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
