"""A template that is restored from a snapshot: milliseconds in place of a construction."""

from __future__ import annotations

from pathlib import Path

from bentofn.adapters.local.engines.base import TEMPLATE_ID, Launch
from bentofn.adapters.local.engines.forked.parent import Parent
from bentofn.adapters.local.engines.output import Output
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.sockets import Wires
from bentofn.runtime.protocol import Restore


async def restore_template(launch: Launch, restorer: Restorer, images: Path) -> Parent:
    """Restore a service as a template; the kernel ends what it forks with it.

    Args:
        launch: What its processes are started with.
        restorer: The platform's.
        images: The images of the service's snapshot.

    Raises:
        StartFailed: It cannot be restored.
        EngineRefused: There is no CRIU.
    """
    wires = Wires.open(None)
    request = Restore("template", TEMPLATE_ID, 1, launch.environment())
    try:
        offspring = await restorer.restore(images, request, wires.remote_fds())
    except BaseException:
        wires.close()
        raise
    finally:
        wires.close_remote()
    output = Output(TEMPLATE_ID, launch.log)
    await output.follow(wires)
    parent = Parent(offspring, wires.control, output)
    try:
        await parent.ready()
    except BaseException:
        await parent.stop()
        raise
    return parent
