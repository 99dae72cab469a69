"""The line of the project at which a descriptor appeared, whoever opened it: native code too.

After each line of the project's own code the descriptors are listed. That slows the code down, so
it is done only where something was found of which nobody knows where it was opened.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

MOST_STEPS = 100_000
"""Lines after which no more are looked at: seconds in which a constructor that computes would
still be slow."""

_DESCRIPTORS = "/proc/self/fd"

_Trace = Callable[[FrameType, str, Any], Any]


class Lines:
    """Descriptors to lines, noted from :meth:`record` to :meth:`stop`.

    Args:
        source: Prefix of the project's files.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: dict[int, str] = {}
        self._known = _descriptors()
        self._steps = 0

    @classmethod
    def record(cls, source: str) -> Lines:
        """Begin to take notes, in this thread and those that it starts."""
        lines = cls(source)
        threading.settrace(lines._enter)
        sys.settrace(lines._enter)
        return lines

    def stop(self) -> None:
        """Take no more notes."""
        self._steps = MOST_STEPS
        sys.settrace(None)

    def of(self, fd: int) -> str:
        """The line that opened a descriptor, if it is known."""
        return self._found.get(fd, "")

    def _enter(self, frame: FrameType, event: str, argument: Any) -> _Trace | None:
        file = frame.f_code.co_filename
        if self._steps >= MOST_STEPS or not file.startswith(self._source):
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, argument: Any) -> _Trace | None:
            nonlocal last
            self._steps += 1
            now = _descriptors()
            for fd in now - self._known:
                self._found[fd] = line_of(frame.f_code, last, self._source)
            self._known = now
            last = frame.f_lineno
            return step if self._steps < MOST_STEPS else None

        return step


def line_of(code: CodeType, number: int, folder: str) -> str:
    """A line in words, such as ``store.py:31 (Store.__init__)``.

    Args:
        code: What it is in.
        number: Its number.
        folder: Prefix that its file's name is shown without.
    """
    name = getattr(code, "co_qualname", code.co_name)
    inside = "" if name == "<module>" else f" ({name})"
    return f"{code.co_filename[len(folder) :]}:{number}{inside}"


def _descriptors() -> frozenset[int]:
    try:
        listed = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - pathlib is slower
    except OSError:
        return frozenset()
    return frozenset(fd for fd in map(int, listed) if _is_open(fd))


def _is_open(fd: int) -> bool:
    """Whether it is more than the listing's own descriptor, which is listed too."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
