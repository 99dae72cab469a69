"""An instance that is restored."""

from __future__ import annotations

from pathlib import Path

from bentofn.adapters.local.engines.base import InstanceSpec, Launch
from bentofn.adapters.local.engines.places import place
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.runtime.protocol import Restore
from bentofn.runtime.stages import stage


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
    async with place(launch, spec) as at:
        try:
            with stage("restore"):
                offspring = await restorer.restore(images, request, at.wires.remote_fds())
        finally:
            at.wires.close_remote()
    return await RunningInstance.of(
        spec, at.path, at.wires, offspring.pid, offspring.exit, at.tenancy, launch.log
    )
