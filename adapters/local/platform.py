"""All functions of a home: deployed, recovered, destroyed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.clock import SystemClock
from bentofn.adapters.local.core.conformity import differences_of
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.engines import Restorer
from bentofn.adapters.local.engines.forked.zygotes import Zygotes, ZygoteStatus
from bentofn.adapters.local.engines.restored.orphans import end_orphans
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.environment import MACHINE_LIMIT
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.isolation.limits import Limits
from bentofn.adapters.local.isolation.policy import Isolation, confinement_of, private_paths
from bentofn.adapters.local.journal.events import Destroyed
from bentofn.adapters.local.journal.figures import Figures
from bentofn.adapters.local.journal.journal import SIZE, Journal
from bentofn.adapters.local.lambda_.api.deployed import DeployedFunctions, local_face
from bentofn.adapters.local.lazy_logs import write_lazy_logs
from bentofn.adapters.local.logs import LogWriter, log_path, remove_logs
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.schedules.schedules import Schedules, unrun_events
from bentofn.adapters.local.state import Deployment, State
from bentofn.adapters.local.testing.control import JOURNAL_SIZE
from bentofn.adapters.local.testing.faults import Faults
from bentofn.adapters.local.tracing.variables import start as start_tracing
from bentofn.adapters.protocol import (
    Deployed,
    FunctionSpec,
    FunctionStatus,
    Progress,
)
from bentofn.adapters.schedule import ScheduleStatus
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
        self.functions: dict[str, Function] = {}
        self.profile = profile
        self._home = home
        self._state = State(home)
        self._sockets = sockets
        self._url = url
        self._providers = providers
        self._confinement = confinement_of(home)
        self._numbers = itertools.count(1)
        restorer = Restorer(SnapshotStore(home))
        self.journal = Journal(self.clock.now, SIZE if faults is None else JOURNAL_SIZE)
        self.figures = Figures(self.journal)
        self._spans = start_tracing(os.environ, self.journal)
        kept = KeptZygotes(restorer, _print)
        self._shared = Shared(Zygotes(_print), restorer, kept, self.clock, self.journal, faults)
        self._schedules = Schedules(home.schedules, url, self.clock, self.journal)
        self._background: asyncio.Task[None] | None = None
        lambdas = DeployedFunctions(self.functions, self._state, self._resolve)
        self.lambda_face = local_face(home, lambdas, self.clock, self.journal, url)

    def log_of(self, name: str) -> Path:
        """Where a function's log stands."""
        return log_path(self._home.logs, name)

    async def recover(self) -> None:
        """Take up what was deployed, at zero instances, and prepare fast starts one by one."""
        # One that was killed may have left groups, and in them what its services had started.
        await asyncio.to_thread(self._confinement.close)
        await asyncio.to_thread(end_orphans, self._home.snapshots)
        write_lazy_logs(self._providers, self.functions)
        deployments = await asyncio.to_thread(self._state.live)
        for deployment in deployments:
            function = self._function(deployment.spec.name)
            function.deployment = deployment
            try:
                bento = await self._resolve(deployment.spec)
                profile_of(deployment.spec.settings)
            except (UserError, OSError) as error:
                function.trouble = f"Its bento is not usable: {error}"
                print(f"{function.name}: {function.trouble}", file=sys.stderr)
                continue
            revision = function.revision(deployment.spec, bento, deployment.version)
            function.switch(revision, deployment)
            await function.follow_tasks()
            self._schedules.follow(function)
        await self.lambda_face.recover()
        self._background = asyncio.create_task(self._prepare_starts())

    async def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool) -> Deployed:
        """Make a function live as the spec says.

        Args:
            spec: The function.
            progress: Told about each step.
            wait: Whether to wait until fast starts are prepared.

        Raises:
            UserError: The new version does not start; the former one, if any, stays live.
        """
        progress("Unpacking the bento")
        bento = await self._resolve(spec)
        spec = dataclasses.replace(spec, bento=bento.tag)
        function = self._function(spec.name)
        async with function.deploying:
            return await self._apply(function, spec, bento, progress, wait)

    async def _apply(
        self,
        function: Function,
        spec: FunctionSpec,
        bento: LocalBento,
        progress: Progress,
        wait: bool,
    ) -> Deployed:
        now = function.deployment
        differences = _differences(spec, bento)
        if now and function.live and (now.spec, now.digest) == (spec, bento.digest):
            if wait and (preparation := function.live.launcher.prepare()) is not None:
                with contextlib.suppress(UserError):
                    await asyncio.shield(preparation)
            return self._deployed(function, differences, changed=False)
        self.lambda_face.check(spec)
        former = await asyncio.to_thread(self._state.versions, spec.name)
        version = former[-1].version + 1 if former else 1
        revision = await function.prepare(spec, bento, version, progress, wait=wait)
        await self._go_live(function, revision, lambda: self._state.add(spec, bento.digest))
        return self._deployed(function, differences, changed=True)

    async def activate(self, name: str, version: int, progress: Progress) -> Deployed:
        """Make a version that was deployed before live again.

        Args:
            name: The function.
            version: Its number.
            progress: Told about each step.

        Raises:
            UserError: There is none, or it does not start; the live version stays then.
        """
        function = self.get(name)
        async with function.deploying:
            assert function.deployment is not None
            found = [
                each
                for each in await asyncio.to_thread(self._state.versions, name)
                if each.version == version
            ]
            if not found:
                raise UserError(
                    f"There is no version {version} of {name}; bentofn versions {name} lists those "
                    "that there are."
                )
            (wanted,) = found
            progress("Unpacking the bento")
            bento = await self._resolve(wanted.spec)
            differences = _differences(wanted.spec, bento)
            if version == function.deployment.version and function.live:
                return self._deployed(function, differences, changed=False)
            self.lambda_face.check(wanted.spec)
            revision = await function.prepare(wanted.spec, bento, version, progress, wait=True)
            await self._go_live(function, revision, lambda: self._state.activate(name, version))
            return self._deployed(function, differences, changed=True)

    async def _go_live(
        self, function: Function, revision: Revision, record: Callable[[], Deployment]
    ) -> None:
        """Have a revision that is known to start take the live one's place.

        Args:
            function: The function.
            revision: What takes the requests.
            record: Writes it down.
        """

        async def commit() -> None:
            try:
                deployment = await asyncio.to_thread(record)
            except BaseException:
                await revision.close(0.0)
                raise
            function.switch(revision, deployment)
            await function.follow_tasks()
            self._schedules.follow(function)
            await self.lambda_face.deployed(deployment.spec)

        # Once begun it is done to its end, or the database and the traffic would disagree.
        await asyncio.shield(asyncio.ensure_future(commit()))

    async def destroy(self, name: str) -> None:
        """Remove a function and all that was made for it.

        Raises:
            UserError: There is none of this name.
        """
        function = self.get(name)
        async with function.deploying:
            await asyncio.to_thread(self._state.remove, name)
            function.forget()
            await self.lambda_face.forget(name)
            await self._schedules.discard(name)
            for each in function.all():
                await each.tasks.discard()
            await function.close(self.profile.timeouts.stop_grace)
            remove_logs(self._home.logs, name)
            self.journal.publish(Destroyed(self.clock.now(), name))

    def get(self, name: str) -> Function:
        """A deployed function.

        Raises:
            UserError: There is none of this name.
        """
        function = self.functions.get(name)
        if function is None or function.deployment is None:
            deployed = sorted(f.name for f in self.functions.values() if f.deployment)
            raise UserError(
                f"There is no function {name!r} on the local platform; "
                f"deployed: {', '.join(deployed) or 'none'}."
            )
        return function

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

    def _function(self, name: str) -> Function:
        if name not in self.functions:
            log = LogWriter(self.log_of(name))
            self.functions[name] = Function(
                name, log, self._socket_directory, self._shared, self._isolate,
                self._home.tasks / f"{name}.db",
            )  # fmt: skip
        return self.functions[name]

    def _isolate(self, spec: FunctionSpec) -> Isolation:
        limits = Limits.of(spec.settings, profile_of(spec.settings))
        cells = self._confinement.cells(limits, f"{spec.name}-")
        return Isolation(cells, (self._sockets, *private_paths(self._home)))

    def _socket_directory(self) -> Path:
        return self._sockets / str(next(self._numbers))

    def _status(self, function: Function) -> FunctionStatus:
        name, found = function.name, function.status(self.url_of(function.name))
        queued = found.queued + self.lambda_face.asynchronous.queued(name)
        return dataclasses.replace(found, queued=queued, schedules=self._schedules.status(name))

    def _deployed(self, function: Function, differences: str, *, changed: bool) -> Deployed:
        assert function.deployment is not None
        assert function.live is not None
        spec, contract = function.deployment.spec, function.live.bento.manifest.contract
        return Deployed(
            name=function.name,
            url=self.url_of(function.name),
            version=function.deployment.version,
            bento=function.deployment.spec.bento,
            digest=function.deployment.digest,
            changed=changed,
            snapshot=function.live.launcher.snapshot,
            note="; ".join(
                filter(None, (function.live.note, differences, unrun_events(spec, contract)))
            ),
        )

    async def _prepare_starts(self) -> None:
        functions = list(self.functions.values())
        for function in functions:
            if function.live is not None:
                await function.live.launcher.recall()
        for function in functions[:_RECOVERED_TEMPLATES]:
            preparation = function.live.launcher.prepare() if function.live else None
            if preparation is not None:
                await asyncio.wait([preparation])


def _differences(spec: FunctionSpec, bento: LocalBento) -> str:
    """See :func:`bentofn.adapters.local.core.conformity.differences_of`."""
    profile, contract = profile_of(spec.settings), bento.manifest.contract
    return differences_of(spec.name, profile, spec.settings, contract, MACHINE_LIMIT)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
