"""Where an instance is to run: made before its process, unmade where that does not start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.engines.base import InstanceSpec, Launch
from bentofn.adapters.local.engines.sockets import Wires, socket_path
from bentofn.adapters.local.isolation.policy import Tenancy


@dataclass(frozen=True)
class Place:
    """What a process becomes an instance with.

    Args:
        path: Its socket.
        wires: What connects it to the platform.
        tenancy: Its stay in its cell.
    """

    path: Path
    wires: Wires
    tenancy: Tenancy


@asynccontextmanager
async def place(launch: Launch, spec: InstanceSpec) -> AsyncIterator[Place]:
    """Make the place of an instance; nothing of it is left where the block fails.

    The block closes the process's ends of the wires.

    Raises:
        StartFailed: The system has no room for it.
        OSError: The platform has no descriptor left.
    """
    path = socket_path(launch.sockets, spec.instance_id)
    tenancy = launch.tenancy(spec)
    try:
        wires = Wires.open(path)
        try:
            yield Place(path, wires, tenancy)
        except BaseException:
            wires.close()
            raise
    except BaseException:
        with suppress(OSError):
            path.unlink()
        await asyncio.shield(tenancy.end())
        raise
