"""What a start spends its time on, told stage by stage to whoever asks.

    with stage("weights.read", bytes=size):
        ...

Hardly ever does anybody ask, and then a stage costs a fraction of a microsecond. ``BENTOFN_STAGES``
names a file that a process appends its stages to, one JSON object a line; a copy of a process
(restored or forked) finds it among the variables that it is given. The platform's own are told to
what :func:`telling_to` names.

All times are nanoseconds of the wall clock (CLOCK_REALTIME), which all processes of a host have in
common. The monotonic clock of a restored process may be its own
(:mod:`bentofn.runtime.renew.clocks`).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

FILE, IMPORTS = "BENTOFN_STAGES", "BENTOFN_STAGES_IMPORTS"
"""Variables: the file, and whether each module that is imported is a stage of its own (``1``)."""

MOST = 1 << 20
"""Bytes that are read of a file of stages."""


@dataclass(frozen=True)
class Stage:
    """Something that took time.

    Args:
        name: What; a part of something else has that in front: ``weights.read``.
        began: When, in nanoseconds since 1970.
        ended: When it was over; not before it began.
        process: Whose it is, by the number that it has for itself.
        thread: Its thread's number.
        thread_name: What that is called.
        details: What else there is to say: bytes, a path.
    """

    name: str
    began: int
    ended: int
    process: int = 0
    thread: int = 0
    thread_name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


Tell = Callable[[Stage], None]


@dataclass
class _Process:
    """Who is told of this process's stages, and the file that they are written to."""

    tell: Tell | None = None
    file: FileIO | None = None


_process = _Process()
_told: ContextVar[Tell | None] = ContextVar("stages", default=None)


def stage(name: str, **details: Any) -> contextlib.AbstractContextManager[None]:
    """A block that is a stage, of which somebody may want to know.

    Args:
        name: As in :class:`Stage`.
        **details: See there; numbers and text.
    """
    tell = _told.get() or _process.tell
    return _NOBODY_ASKS if tell is None else _Timed(tell, name, details)


def since(name: str, began: int, **details: Any) -> None:
    """Tell of a stage that ends now.

    Args:
        name: As in :class:`Stage`.
        began: See there.
        **details: See there.
    """
    tell = _told.get() or _process.tell
    if tell is not None:
        _finish(tell, name, began, details)


def asked() -> bool:
    """Whether anybody wants to know."""
    return (_told.get() or _process.tell) is not None


@contextlib.contextmanager
def telling_to(tell: Tell) -> Iterator[None]:
    """Have the stages of this context told: those of this task, and of tasks that it begins."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)


def begin(env: Mapping[str, str]) -> None:
    """Tell of this process's stages from now on, if its variables ask for it; else no more."""
    end()
    path = env.get(FILE)
    if not path:
        return
    try:
        file = FileIO(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))
    except OSError as error:
        print(f"bentofn: {FILE} names {path}: {error.strerror}", file=sys.stderr)
        return
    _process.file = file
    # One write a line: the kernel keeps those of several threads and processes apart.
    _process.tell = lambda told: _append(file, told)
    from bentofn.runtime.stages_of_imports import watch  # hardly ever does anybody ask

    watch(imports=env.get(IMPORTS) == "1")


def end() -> None:
    """Tell of this process's stages no more."""
    _process.tell = None
    if _process.file is not None:
        _process.file.close()
        _process.file = None


def read(path: Path) -> list[Stage]:
    """The stages in a file; what else is in there, such as half a line, is left out."""
    try:
        with path.open("rb") as file:
            lines = file.read(MOST).split(b"\n")
    except FileNotFoundError:
        return []
    return [found for line in lines if (found := _parse(line)) is not None]


class _Timed:
    """A stage that is going on."""

    def __init__(self, tell: Tell, name: str, details: Mapping[str, Any]) -> None:
        self._tell, self._name, self._details = tell, name, details
        self._began = 0

    def __enter__(self) -> None:
        self._began = time.time_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        details = self._details if kind is None else {**self._details, "error": kind.__name__}
        _finish(self._tell, self._name, self._began, details)


_NOBODY_ASKS = contextlib.nullcontext()


def _finish(tell: Tell, name: str, began: int, details: Mapping[str, Any]) -> None:
    ended, thread = time.time_ns(), threading.current_thread()
    tell(Stage(name, began, ended, os.getpid(), threading.get_native_id(), thread.name, details))


def _append(file: FileIO, told: Stage) -> None:
    # Not told: one that goes on after the end (ValueError), or that a full disk has no room for.
    with contextlib.suppress(OSError, ValueError):
        file.write(json.dumps(vars(told), default=str).encode() + b"\n")


def _parse(line: bytes) -> Stage | None:
    try:
        found = Stage(**json.loads(line))
        numbers = (found.began, found.ended, found.process, found.thread)
        texts = (found.name, found.thread_name)
    except (ValueError, TypeError):
        return None
    is_whole = all(type(each) is int for each in numbers) and found.ended >= found.began
    is_text = all(type(each) is str for each in texts) and isinstance(found.details, dict)
    return found if is_whole and is_text else None
