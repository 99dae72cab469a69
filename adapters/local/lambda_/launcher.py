"""Starts the environments of a function that is deployed as Lambda's."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.deployment import run_deployment_hook
from bentofn.adapters.local.engines.base import Instance, Launch, StartFailed
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.interpreter import find_python
from bentofn.adapters.local.isolation.policy import Isolation
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.setup import HANDLER, Setup, bento_setup
from bentofn.adapters.local.lambda_.snapstart import SnapStart
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.protocol import FunctionSpec

PROFILE = "lambda"
"""The platform profile whose functions are started here."""

SNAPSTART_SINCE = (3, 12)
"""The first Python that SnapStart takes. Source:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"""

_INHERITED = ("PATH", "TMPDIR")


class LambdaLauncher:
    """The environments of one version; it does what a
    :class:`bentofn.adapters.local.launcher.Launcher` does.

    Args:
        spec: The function.
        bento: What it runs.
        version: Its number.
        isolation: What holds its environments to their limits and keeps them apart.
        log: The function's log.
        shared: The platform's.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        bento: LocalBento,
        version: int,
        isolation: Isolation,
        log: LogWriter,
        shared: Shared,
    ) -> None:
        self._spec = spec
        self._bento = bento
        self._version = version
        self._isolation = isolation
        self._log = log
        self._home = shared.restorer.store.home
        self._setup: asyncio.Task[Setup] | None = None
        self._snapshots: SnapStart | None = None
        self._publishing: asyncio.Task[None] | None = None
        python = tuple(int(part) for part in bento.manifest.python.split("."))
        self._has_snapstart = python[:2] >= SNAPSTART_SINCE
        self._snap_start = spec.settings.snapshot == "criu" or (
            spec.settings.snapshot == "auto" and self._has_snapstart
        )

    @property
    def snapshot(self) -> str:
        """How the next environment starts: ``snapstart``, ``preparing`` it, or ``none``."""
        if not self._snap_start:
            return "none"
        published = self._snapshots is not None and self._snapshots.published
        return "snapstart" if published else "preparing"

    @property
    def note(self) -> str:
        """Why that is not the fastest that the spec allows; empty if it is."""
        if self._spec.settings.snapshot != "auto" or self._has_snapstart:
            return ""
        return (
            "environments start cold: SnapStart takes Python 3.12 and later, and this bento is "
            f"for {self._bento.manifest.python}"
        )

    @property
    def next_kind(self) -> str:
        """What the next start is called: ``restored`` or ``cold``."""
        return "restored" if self._snap_start else "cold"

    async def recall(self) -> None:
        """Nothing is kept from earlier platforms."""

    def prepare(self) -> asyncio.Task[None] | None:
        """Have the version published, which SnapStart does before its first environment starts.

        Returns:
            The work, which raises StartFailed where the function cannot be initialised; None where
            there is nothing to do.
        """
        if not self._snap_start:
            return None
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.create_task(self._publish())
            self._publishing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._publishing

    async def launch(self, name: str, threads: int) -> tuple[Instance, str]:
        """Start an environment.

        Args:
            name: Its name.
            threads: Not asked: the function's memory decides.

        Returns:
            The environment, which may have failed to start as the functions of Lambda may, and
            ``restored`` or ``cold``.

        Raises:
            UserError: Nothing can be started.
        """
        setup = await self._set_up()
        take = self._snapshots.take if self._snapshots is not None else None
        start = load_profile(self._spec.settings.profile).timeouts.start
        environment = LambdaEnvironment(setup, name, take, start)
        try:
            await environment.ready()
        except BaseException:
            await asyncio.shield(environment.stop(0.0))
            raise
        return environment, self.next_kind

    def keeps(self, instance: Instance) -> bool:
        """Nothing of what an environment becomes is kept."""
        return False

    def sleeps(self, instance: Instance) -> bool:
        """No instance does: Lambda has no GPUs."""
        return False

    async def stop(self, instance: Instance, grace: float, *, keep: bool) -> None:
        """Stop an environment, at once."""
        await instance.stop(grace)

    async def run_deployment_hook(self) -> None:
        """See :func:`bentofn.adapters.local.deployment.run_deployment_hook`."""
        launch = await self._how_to_launch()
        await run_deployment_hook(launch, load_profile("plain").timeouts.start)

    async def close(self) -> None:
        """Stop what waits to be restored."""
        for task in (self._publishing, self._setup):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._snapshots is not None:
            await self._snapshots.close()

    async def _publish(self) -> None:
        await self._set_up()
        assert self._snapshots is not None
        await self._snapshots.publish()

    async def _set_up(self) -> Setup:
        if self._setup is None or (self._setup.done() and self._setup.exception() is not None):
            self._setup = asyncio.create_task(self._make_setup())
        return await asyncio.shield(self._setup)

    async def _make_setup(self) -> Setup:
        settings, python = self._spec.settings, self._bento.manifest.python
        if self._snap_start and not self._has_snapstart:
            raise StartFailed(
                f"SnapStart is not supported for python{python}, only for Python 3.12 and later; "
                "build the bento for one, or deploy it with snapshot: auto"
            )
        launch = await self._how_to_launch()
        client = await asyncio.to_thread(client_directory, self._home, python, launch.python)
        profile = load_profile(settings.profile)
        function = Configuration(
            name=self._spec.name,
            handler=HANDLER,
            python=python,
            version=str(self._version),
            memory=profile.size(settings).memory,
            scratch=settings.scratch or profile.instance.scratch or 0,
            timeout=settings.timeout,
            variables=launch.env,
            snap_start=self._snap_start,
        )
        function.check()
        setup = bento_setup(function, launch, client, self._log.write)
        if self._snap_start:
            self._snapshots = SnapStart(setup)
        return setup

    async def _how_to_launch(self) -> Launch:
        python = await asyncio.to_thread(find_python, self._bento.manifest.python)
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return Launch(
            root=self._bento.root.path,
            python=python,
            env={**inherited, **self._bento.manifest.envs, **self._spec.settings.environment},
            sockets=Path(os.devnull),
            log=self._log.write,
            isolation=self._isolation,
        )
