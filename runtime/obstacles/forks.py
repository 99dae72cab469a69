"""What keeps a process from being forked: what a copy loses, and what copies would share."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Collection

from bentofn.runtime.obstacles import tasks
from bentofn.runtime.obstacles.sites import Sites
from bentofn.runtime.obstacles.sockets import far_end


def why_not_fork(own: Collection[int], sites: Sites) -> str | None:
    """The sentence that says why this process cannot be forked, or None if it can be.

    A fork copies one thread, and gives every copy the same child processes and connections: their
    answers would reach whichever copy reads first.

    Args:
        own: Descriptors that copies close.
        sites: Where things were opened and started.
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
            (_threads(sites), "thread", "threads"),
            (_children(sites), "child process", "child processes"),
            (_connections(own, sites), "connection", "connections"),
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


def _threads(sites: Sites) -> list[str]:
    return [
        _from(task.name, sites.of_thread(task.thread) if task.thread else "")
        for task in tasks.settled(tasks.threads)
    ]


def _children(sites: Sites) -> list[str]:
    return [
        _from(child.name, sites.of_child(child.command)) for child in tasks.settled(tasks.children)
    ]


def _connections(own: Collection[int], sites: Sites) -> list[str]:
    """Stream sockets, an event loop's own pair included; datagrams may be sent by many."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are numbers, not files
        fd = int(name)
        try:
            is_socket = fd not in own and stat.S_ISSOCK(os.fstat(fd).st_mode)
        except OSError:
            continue  # the listing's own descriptor
        if is_socket:
            with socket.socket(fileno=os.dup(fd)) as copy:
                if copy.type == socket.SOCK_STREAM:
                    found.append(_from(far_end(copy, sites), sites.of_socket(fd)))
    return sorted(found)


def _from(name: str, where: str) -> str:
    return f"{name} from {where}" if where else name
