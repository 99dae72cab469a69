"""The threads and the child processes of this process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

C = TypeVar("C", bound=Collection[object])

_TASKS = Path("/proc/self/task")


@dataclass(frozen=True)
class Child:
    """A child process.

    Args:
        name: What it calls itself.
        command: Its command line.
    """

    name: str
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A thread other than the calling one.

    Args:
        name: Python's name of it, or the system's.
        thread: Python's, if Python knows it.
    """

    name: str
    thread: threading.Thread | None = None


def settled(look: Callable[[], C], patience: float = 1.0) -> C:
    """What is still there after a moment: the system forgets what has ended later than Python."""
    deadline = time.monotonic() + patience
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def thread_ids() -> frozenset[int]:
    """The system's number of each thread; those that Python knows, where the system lists none."""
    if _TASKS.is_dir():
        return frozenset(int(task.name) for task in _TASKS.iterdir())
    return frozenset(t.native_id for t in threading.enumerate() if t.native_id is not None)


def threads() -> list[Task]:
    """All threads but the calling one, by name."""
    python = {thread.native_id: thread for thread in threading.enumerate()}
    others = thread_ids() - {threading.get_native_id()}
    found = [
        Task(python[number].name, python[number])
        if number in python
        else Task(f"{_comm(_TASKS / str(number))} (native)")
        for number in others
    ]
    return sorted(found, key=lambda task: task.name)


def children() -> list[Child]:
    """Living children, where Linux lists them (``CONFIG_PROC_CHILDREN``), by name."""
    found: list[Path] = []
    for tasks in _TASKS.glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found += [Path("/proc") / pid for pid in tasks.read_text().split()]
    living = [
        Child(_comm(process), _command(process)) for process in found if not _is_zombie(process)
    ]
    return sorted(living, key=lambda child: child.name)


def _is_zombie(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _comm(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:
        return "ending"


def _command(process: Path) -> tuple[str, ...]:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return ()
    return tuple(word.decode(errors="replace") for word in words)
