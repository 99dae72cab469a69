"""What keeps a process from being forked: what a copy loses, and what copies would share."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Collection

from bentofn.runtime.obstacles import tasks
from bentofn.runtime.obstacles.devices import find_gpu
from bentofn.runtime.obstacles.found import HOOK, Obstacle, sentence
from bentofn.runtime.obstacles.sites import Sites
from bentofn.runtime.obstacles.sockets import far_end

_SHOWN = 5


def why_not_fork(own: Collection[int], sites: Sites) -> str | None:
    """The sentence that says why this process cannot be forked, or None if it can be.

    A fork copies one thread, and gives every copy the same child processes and connections: their
    answers would reach whichever copy reads first. What the process holds of a GPU it loses.

    Args:
        own: Descriptors that copies close.
        sites: Where things were opened and started.
    """
    found = [
        *find_gpu(),
        *_kept(_threads(sites), "thread", "threads", "start"),
        *_kept(_children(sites), "child process", "child processes", "start"),
        *_kept(_connections(own, sites), "connection", "connections", "open"),
    ]
    return sentence(found) if found else None


def _kept(names: list[str], one: str, many: str, verb: str) -> list[Obstacle]:
    """One obstacle for all of a kind: a library may start a thread for each CPU."""
    if not names:
        return []
    if len(names) == 1:
        return [Obstacle(f"keeps 1 {one} ({names[0]})", verb=verb)]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return [Obstacle(f"keeps {len(names)} {many} ({shown})", advice=f"{verb} them {HOOK}")]


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
