"""The threads and the child processes of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

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


def settled(look: Callable[[], Sequence[T]], patience: float = 1.0) -> Sequence[T]:
    """What is still there after a moment: the system forgets what has ended later than Python."""
    deadline = time.monotonic() + patience
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def threads() -> list[Task]:
    """All threads but the calling one, by name."""
    me = threading.get_native_id()
    python = {t.native_id: t for t in threading.enumerate() if t.native_id != me}
    if not _TASKS.is_dir():
        found = [Task(thread.name, thread) for thread in python.values()]
    else:
        native = {int(task.name): _comm(task) for task in _TASKS.iterdir() if int(task.name) != me}
        found = [
            Task(python[tid].name, python[tid]) if tid in python else Task(f"{comm} (native)")
            for tid, comm in native.items()
        ]
    return sorted(found, key=lambda task: task.name)


def children() -> list[Child]:
    """Living children, where Linux lists them (``CONFIG_PROC_CHILDREN``), by name."""
    lists = _TASKS.glob("*/children")
    found = [Path("/proc") / pid for tasks in lists for pid in tasks.read_text().split()]
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
