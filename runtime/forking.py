"""What keeps a process from being forked: what a copy loses, and what copies would share."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bentofn.runtime.protocol import Channel

_TASKS = Path("/proc/self/task")


def why_not_fork(control: Channel) -> str | None:
    """The sentence that says why this process cannot be forked, or None if it can be.

    A fork copies one thread, and gives every copy the same child processes and connections: their
    answers would reach whichever copy reads first.

    Args:
        control: The platform's, which copies close.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return (
            "the service has initialised CUDA, which does not survive a fork; move its tensors to "
            "the GPU in an after_restore or on_startup hook, or deploy with another snapshot engine"
        )
    kept = [
        (_count(names, one, many), _shown(names))
        for names, one, many in (
            (_settled(_threads), "thread", "threads"),
            (_settled(_children), "child process", "child processes"),
            (_connections(control.fileno()), "connection", "connections"),
        )
        if names
    ]
    if not kept:
        return None
    (count, names), *others = kept
    rest = "".join(f", and {count}: {names}" for count, names in others)
    return (
        f"the service keeps {count} after its construction: {names}{rest}; "
        "start them in an after_restore or on_startup hook"
    )


def _count(names: list[str], one: str, many: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else many}"


def _shown(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def flush() -> None:
    """Write out what C libraries print, or every copy would print it again."""
    ctypes.CDLL(None).fflush(None)


def _settled(look: Callable[[], list[str]], patience: float = 1.0) -> list[str]:
    """What is still there after a moment: the system forgets what has ended later than Python."""
    deadline = time.monotonic() + patience
    while (names := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return names


def _threads() -> list[str]:
    me = threading.get_native_id()
    python = {t.native_id: t.name for t in threading.enumerate() if t.native_id != me}
    if not _TASKS.is_dir():
        return sorted(python.values())
    native = {int(task.name): _comm(task) for task in _TASKS.iterdir() if int(task.name) != me}
    return sorted(python.get(tid) or f"{comm} (native)" for tid, comm in native.items())


def _children() -> list[str]:
    """Living children, where Linux lists them (``CONFIG_PROC_CHILDREN``)."""
    lists = _TASKS.glob("*/children")
    found = [Path("/proc") / pid for tasks in lists for pid in tasks.read_text().split()]
    return sorted(_comm(process) for process in found if not _is_zombie(process))


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


def _connections(own: int) -> list[str]:
    """Stream sockets, an event loop's own pair included; datagrams may be sent by many."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are numbers, not files
        fd = int(name)
        try:
            is_socket = fd != own and stat.S_ISSOCK(os.fstat(fd).st_mode)
        except OSError:
            continue  # the listing's own descriptor
        if is_socket:
            with socket.socket(fileno=os.dup(fd)) as copy:
                if copy.type == socket.SOCK_STREAM:
                    found.append(_far_end(copy))
    return sorted(found)


def _far_end(connection: socket.socket) -> str:
    try:
        peer = connection.getpeername()
    except OSError:
        return "a listening socket"
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else f"local socket {peer}".rstrip()
