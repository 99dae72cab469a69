"""All functions of a home: deployed, recovered, destroyed."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.clock import SystemClock
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.deployments import Deployments
from bentofn.adapters.local.engines import Restorer
from bentofn.adapters.local.engines.forked.zygotes import Zygotes, ZygoteStatus
from bentofn.adapters.local.engines.restored.orphans import end_orphans
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.gpu.memory import GpuMemory
from bentofn.adapters.local.isolation.policy import confinement_of
from bentofn.adapters.local.journal.events import Destroyed
from bentofn.adapters.local.journal.figures import Figures
from bentofn.adapters.local.journal.journal import SIZE, Journal
from bentofn.adapters.local.lambda_.api.deployed import DeployedFunctions, local_face
from bentofn.adapters.local.lazy_logs import write_lazy_logs
from bentofn.adapters.local.logs import remove_logs
from bentofn.adapters.local.roster import Roster
from bentofn.adapters.local.schedules.schedules import Schedules
from bentofn.adapters.local.secrets import with_values
from bentofn.adapters.local.state import State
from bentofn.adapters.local.testing.control import JOURNAL_SIZE
from bentofn.adapters.local.testing.faults import Faults
from bentofn.adapters.local.tracing.variables import start as start_tracing
from bentofn.adapters.protocol import (
    FunctionSpec,
    FunctionStatus,
)
from bentofn.adapters.schedule import ScheduleStatus
from bentofn.adapters.secret import secret_values
from bentofn.packager.home import Home
from bentofn.packager.roots.trees import TreeProvider
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.errors import UserError

_RECOVERED_TEMPLATES = 8
"""Functions, the latest deployed first, whose template is prepared when the platform starts, the
others' when they are first called: each holds a whole model in memory."""


class Platform:
    """The functions that one process of the platform serves.

    Args:
        home: Whose bentos, deployments and logs.
        profile: The rules of what belongs to no function.
        sockets: A short private directory for the instances' sockets.
        url: Where the platform answers, without a slash at its end.
        providers: Who may give the trees of bentos otherwise than unpacked.
        clock: Its time.
        faults: What goes wrong on purpose; one that has any is for tests.
    """

    def __init__(
        self,
        home: Home,
        profile: Profile,
        sockets: Path,
        url: str,
        providers: Sequence[TreeProvider] = (),
        clock: SystemClock | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.faults = faults
        self.profile = profile
        self._home = home
        self._state = State(home)
        self._url = url
        self._providers = providers
        self._confinement = confinement_of(home)
        restorer = Restorer(SnapshotStore(home))
        self.journal = Journal(self.clock.now, SIZE if faults is None else JOURNAL_SIZE)
        self.figures = Figures(self.journal)
        self._spans = start_tracing(os.environ, self.journal)
        kept = KeptZygotes(restorer, _print)
        self._shared = Shared(Zygotes(_print), restorer, kept, self.clock, self.journal, faults)
        self._roster = Roster(home, sockets, self._confinement, self._shared)
        self.functions = self._roster.functions
        self._schedules = Schedules(home.schedules, url, self.clock, self.journal)
        self._background: asyncio.Task[None] | None = None
        lambdas = DeployedFunctions(self.functions, self._state, self._resolve)
        self.lambda_face = local_face(home, lambdas, self.clock, self.journal, url)
        self.deployments = Deployments(
            self._state, self._roster, self._resolve, self._schedules, self.lambda_face, self.url_of
        )

    def log_of(self, name: str) -> Path:
        """Where a function's log stands."""
        return self._roster.log_of(name)

    async def recover(self) -> None:
        """Take up what was deployed, at zero instances, and prepare fast starts one by one."""
        # One that was killed may have left groups, and in them what its services had started.
        await asyncio.to_thread(self._confinement.close)
        await asyncio.to_thread(end_orphans, self._home.snapshots)
        write_lazy_logs(self._providers, self.functions)
        deployments = await asyncio.to_thread(self._state.live)
        bentos = await asyncio.to_thread(self._bentos, {each.spec.bento for each in deployments})
        for deployment in deployments:
            function = self._roster.obtain(deployment.spec.name)
            function.deployment = deployment
            try:
                bento = bentos[deployment.spec.bento]
                if isinstance(bento, Exception):
                    raise bento
                profile_of(deployment.spec.settings)
            except (UserError, OSError) as error:
                function.trouble = f"Its bento is not usable: {error}"
                print(f"{function.name}: {function.trouble}", file=sys.stderr)
                continue
            try:
                # Their values went with the former platform; this one may know them too.
                function.secrets = secret_values(deployment.spec.settings.secrets)
            except UserError as error:
                function.trouble = f"{str(error).rstrip('.')}, or deploy it again."
                print(f"{function.name}: {function.trouble}", file=sys.stderr)
                continue
            spec = with_values(deployment.spec, function.secrets)
            function.switch(function.revision(spec, bento, deployment.version), deployment)
            await function.follow_tasks()
            self._schedules.follow(function)
        await self.lambda_face.recover()
        self._background = asyncio.create_task(self._prepare_starts())

    async def destroy(self, name: str) -> None:
        """Remove a function and all that was made for it, or what failed deployments left of one.

        Raises:
            UserError: There is none of this name.
        """
        function = self.functions.get(name)
        if function is None or not (
            function.deployment or function.deploying.locked() or self.log_of(name).exists()
        ):
            function = self.get(name)
        async with function.deploying:
            await asyncio.to_thread(self._state.remove, name)
            function.forget()
            await self.lambda_face.forget(name)
            await self._schedules.discard(name)
            for each in function.all():
                await each.tasks.discard()
            await function.close(self.profile.timeouts.stop_grace)
            function.end_log()
            remove_logs(self._home.logs, name)
            self.journal.publish(Destroyed(self.clock.now(), name))

    def get(self, name: str) -> Function:
        """See :meth:`bentofn.adapters.local.roster.Roster.get`."""
        return self._roster.get(name)

    def status(self) -> list[FunctionStatus]:
        """All deployed functions, by name."""
        deployed = [f for _, f in sorted(self.functions.items()) if f.deployment is not None]
        return [self._status(function) for function in deployed]

    def schedules(self, name: str) -> tuple[ScheduleStatus, ...]:
        """How a function's schedules stand."""
        return self._schedules.status(name)

    def zygotes(self) -> list[ZygoteStatus]:
        """What is kept for functions that share their packages."""
        return self._shared.zygote_status()

    def gpus(self) -> GpuMemory:
        """What functions have of the memory of this machine's GPUs."""
        return self._shared.gpus.status()

    def url_of(self, name: str) -> str:
        """Where a function answers."""
        return f"{self._url}/{name}"

    async def close(self) -> None:
        """Let running requests finish, then stop all functions; deployments stay."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        await self._schedules.close(self.profile.timeouts.stop_grace)
        functions = list(self.functions.values())
        grace = self.profile.timeouts.stop_grace
        self.lambda_face.drain()
        await asyncio.gather(*(function.close(grace) for function in functions))
        await self.lambda_face.close()
        await self._shared.close()
        await asyncio.to_thread(self._confinement.close)
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)

    async def _resolve(self, spec: FunctionSpec) -> LocalBento:
        return await asyncio.to_thread(resolve_bento, self._home, spec.bento, self._providers)

    def _bentos(self, names: Iterable[str]) -> dict[str, LocalBento | UserError | OSError]:
        """Bentos by their names, or why they are not usable."""
        found: dict[str, LocalBento | UserError | OSError] = {}
        for name in names:
            try:
                found[name] = resolve_bento(self._home, name, self._providers)
            except (UserError, OSError) as error:
                found[name] = error
        return found

    def _status(self, function: Function) -> FunctionStatus:
        name, found = function.name, function.status(self.url_of(function.name))
        queued = (found.queued or 0) + self.lambda_face.asynchronous.queued(name)
        return dataclasses.replace(found, queued=queued, schedules=self._schedules.status(name))

    async def _prepare_starts(self) -> None:
        functions = list(self.functions.values())
        for function in functions:
            if function.live is not None:
                await function.live.launcher.recall()
        for function in functions[:_RECOVERED_TEMPLATES]:
            preparation = function.live.launcher.prepare() if function.live else None
            if preparation is not None:
                await asyncio.wait([preparation])


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
