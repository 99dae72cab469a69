"""An instance that is restored."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bentofn.adapters.local.engines.base import InstanceSpec, Launch
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.sockets import Wires, socket_path
from bentofn.runtime.protocol import Restore


async def restore_instance(
    launch: Launch, spec: InstanceSpec, restorer: Restorer, images: Path, request: Restore
) -> RunningInstance:
    """Restore an instance; it is not ready yet when this returns.

    Args:
        launch: What its processes are started with.
        spec: It.
        restorer: The platform's.
        images: The images.
        request: What the process is told.

    Raises:
        StartFailed: It cannot be restored.
        EngineRefused: There is no CRIU.
    """
    path = socket_path(launch.sockets, spec.instance_id)
    tenancy = launch.tenancy(spec)
    wires = Wires.open(path)
    try:
        offspring = await restorer.restore(images, request, wires.remote_fds())
    except BaseException:
        wires.close()
        path.unlink(missing_ok=True)
        await asyncio.shield(tenancy.end())
        raise
    finally:
        wires.close_remote()
    return await RunningInstance.of(
        spec, path, wires, offspring.pid, offspring.exit, tenancy, launch.log
    )
