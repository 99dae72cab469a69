"""Looks through this process for what a snapshot cannot hold."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path

from bentofn.runtime.obstacles import tasks
from bentofn.runtime.obstacles.descriptors import find_in_descriptors
from bentofn.runtime.obstacles.devices import GPU, find_gpu
from bentofn.runtime.obstacles.found import Obstacle, sentence
from bentofn.runtime.obstacles.mappings import find_in_mappings
from bentofn.runtime.obstacles.sites import Sites

_TRACER = re.compile(r"^TracerPid:\s*([1-9]\d*)$", re.MULTILINE)


def why_not_snapshot(own: Collection[int], sites: Sites, *, gpu: bool = False) -> str | None:
    """The sentence that says why this process cannot be snapshotted, or None if it can be.

    Args:
        own: Descriptors that are closed or replaced before the snapshot.
        sites: Where things were opened.
        gpu: Whether what it has on GPUs will be taken out before.
    """
    obstacles = [obstacle for obstacle in find(own, sites) if obstacle.blocks]
    if gpu:
        obstacles = [obstacle for obstacle in obstacles if obstacle != GPU]
    return sentence(obstacles) if obstacles else None


def find(own: Collection[int], sites: Sites) -> list[Obstacle]:
    """Everything that keeps this process from being snapshotted; nothing on other than Linux.

    Args:
        own: Descriptors that are closed or replaced before the snapshot; those of the standard
            streams always are.
        sites: Where things were opened.
    """
    if sys.platform != "linux" or not Path("/proc/self/fd").is_dir():
        return []
    found = [
        *find_gpu(),
        *_children(sites),
        *find_in_descriptors({0, 1, 2, *own}, sites),
        *find_in_mappings(sites),
        *_surroundings(),
    ]
    # A device or a file is often both open and mapped: the first is said.
    return list({o.path or o.what: o for o in reversed(found)}.values())[::-1]


def _children(sites: Sites) -> list[Obstacle]:
    return [
        Obstacle(
            f"runs the child process {child.name!r}, whose random streams cannot be renewed",
            sites.of_child(child.command),
            "start",
        )
        for child in tasks.settled(tasks.children)
    ]


def _surroundings() -> list[Obstacle]:
    found = []
    try:
        Path.cwd()
    except FileNotFoundError:
        advice = "stay in a directory that lasts"
        found.append(Obstacle("works in a directory that has been deleted", advice=advice))
    tracer = _TRACER.search(Path("/proc/self/status").read_text())
    if tracer:
        found.append(
            Obstacle(f"is traced by process {tracer[1]}, a debugger perhaps", advice="end that")
        )
    return found
