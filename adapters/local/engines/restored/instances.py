"""An instance that is restored."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from bentofn.adapters.local.engines.base import InstanceSpec, Launch, StartFailed
from bentofn.adapters.local.engines.checkpointed.driver import Driver
from bentofn.adapters.local.engines.children import send_signal
from bentofn.adapters.local.engines.places import place
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.offspring import Offspring
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.runtime.cuda.checkpoint import CannotCheckpoint
from bentofn.runtime.protocol import Restore
from bentofn.runtime.stages import stage


async def restore_instance(
    launch: Launch,
    spec: InstanceSpec,
    restorer: Restorer,
    images: Path,
    request: Restore,
    driver: Driver | None = None,
) -> RunningInstance:
    """Restore an instance; it is not ready yet when this returns.

    Args:
        launch: What its processes are started with.
        spec: It.
        restorer: The platform's.
        images: The images.
        request: What the process is told.
        driver: Puts its memory back on the GPU; None where it has none there.

    Raises:
        StartFailed: It cannot be restored.
        EngineRefused: There is no CRIU.
    """
    async with place(launch, spec) as at:
        try:
            with stage("restore"):
                offspring = await restorer.restore(images, request, at.wires.remote_fds())
            if driver is not None:
                await _put_back(driver, offspring)
        finally:
            at.wires.close_remote()
    return await RunningInstance.of(
        spec, at.path, at.wires, offspring.pid, offspring.exit, at.tenancy, launch.log
    )


async def _put_back(driver: Driver, offspring: Offspring) -> None:
    try:
        with stage("gpu.restore"):
            await driver.put_back(offspring.pid)
    except BaseException as error:
        send_signal(offspring.pid, signal.SIGKILL)
        await asyncio.wait([offspring.exit])
        if isinstance(error, CannotCheckpoint):
            raise StartFailed(str(error).rstrip(".")) from error
        raise
