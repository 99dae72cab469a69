"""Starts every instance from nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from bentofn.adapters.local.engines import children
from bentofn.adapters.local.engines.base import InstanceSpec, Launch, StartFailed
from bentofn.adapters.local.engines.children import Process, own_namespaces
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.sockets import Wires, socket_path
from bentofn.adapters.local.interpreter import boot_command
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.namespaces import Namespaces


class PlainEngine:
    """The engine ``none``: an interpreter for every instance, which imports and constructs.

    Args:
        launch: What its processes are started with.
    """

    name = "none"

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._instances: set[RunningInstance] = set()

    async def prepare(self) -> None:
        """Nothing can be done ahead."""

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        path = socket_path(self._launch.sockets, spec.instance_id)
        options = ("--threads", str(spec.threads))
        tenancy = self._launch.tenancy(spec)
        try:
            wires = Wires.open(path)
            process = await spawn(self._launch, spec, wires, "instance", *options)
        except BaseException:
            path.unlink(missing_ok=True)
            await asyncio.shield(tenancy.end())
            raise
        exit_ = asyncio.create_task(status_of(process))
        instance = await RunningInstance.of(
            spec, path, wires, process.pid, exit_, tenancy, self._launch.log
        )
        instance.keep_in(self._instances)
        return instance

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await stop_all(self._instances)


async def spawn(
    launch: Launch, spec: InstanceSpec | None, wires: Wires, process: str, *options: str
) -> Process:
    """Start one of a bento's processes and hand it its ends of the wires.

    Args:
        launch: What to start it with.
        spec: The instance that it is to be; None for a template.
        wires: Made for it; closed if it cannot be started.
        process: Its name in ``bentofn.runtime.boot``.
        *options: Further options.

    Raises:
        StartFailed: The interpreter cannot be run.
    """
    command = boot_command(launch.python, launch.root, process, *options)
    namespaces = own_namespaces(BentoRoot(launch.root).runtime)
    return await spawn_command(command, launch.environment(spec), wires, namespaces)


async def spawn_command(
    command: Sequence[str],
    env: Mapping[str, str],
    wires: Wires,
    namespaces: Namespaces | None = None,
) -> Process:
    """Start a boot process and hand it its ends of the wires.

    Linux kills the process when the thread that started it ends: the event loop's thread must live
    as long as the platform.

    Args:
        command: Its command line, which is told the descriptors.
        env: Its whole environment.
        wires: Made for it; closed if it cannot be started.
        namespaces: What gives it a pid namespace of its own; None for none.

    Raises:
        StartFailed: The interpreter cannot be run.
    """
    sockets = {"--control-fd": wires.remote_control}
    if wires.listener is not None:
        sockets["--listen-fd"] = wires.listener
    named = [part for flag, s in sockets.items() for part in (flag, str(s.fileno()))]
    try:
        return await children.start(
            [*command, *named],
            stdout=wires.remote_stdout,
            stderr=wires.remote_stderr,
            pass_fds=[s.fileno() for s in sockets.values()],
            env=env,
            namespaces=namespaces,
        )
    except BaseException as error:
        wires.close()
        if isinstance(error, OSError):
            raise StartFailed(f"{command[0]} cannot be run: {error.strerror}") from error
        raise
    finally:
        wires.close_remote()


async def status_of(process: Process) -> int | None:
    """A child's exit status, when it has ended."""
    return await process.wait()


async def stop_all(instances: set[RunningInstance], grace: float = 10.0) -> None:
    """Stop instances side by side."""
    await asyncio.gather(*(instance.stop(grace) for instance in list(instances)))
