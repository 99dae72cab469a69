"""A deployed function: its live version, and how another takes its place."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from bentofn.adapters.endpoints import routes_of
from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.core.constants import PLAIN
from bentofn.adapters.local.core.profile import Profile, load_profile
from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.gpu.share import GpuFunction
from bentofn.adapters.local.isolation.policy import Isolation
from bentofn.adapters.local.journal.events import Deployed
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.services import (
    Services,
    bento_of,
    entry_spec,
    in_order,
    spec_of,
    with_gpus_of_services,
)
from bentofn.adapters.local.state import Deployment
from bentofn.adapters.local.stats import Stats
from bentofn.adapters.local.tasks import FunctionTasks
from bentofn.adapters.protocol import FunctionSpec, FunctionStatus, Progress
from bentofn.runtime.errors import UserError

_LABEL = 16
"""Letters of a service's name in the names of its instances, which are those of sockets too."""


class Function:
    """A function by name; requests go to its live revision.

    Args:
        name: Its name.
        log: Its log.
        make_directory: Names a fresh directory for a revision's sockets.
        shared: The platform's.
        isolate: What the instances of a function with these settings are held by.
        tasks: The database of its tasks.
    """

    def __init__(
        self,
        name: str,
        log: LogWriter,
        make_directory: Callable[[], Path],
        shared: Shared,
        isolate: Callable[[FunctionSpec], Isolation],
        tasks: Path,
    ) -> None:
        self.name = name
        self._tasks_path = tasks
        self.tasks = FunctionTasks(tasks, lambda: self.live)
        self.stats = Stats()
        self.deploying = asyncio.Lock()
        self.deployment: Deployment | None = None
        self.secrets: Mapping[str, str] = {}
        """Values of the live version's secrets by variable; they are nowhere else."""
        self.live: Revision | None = None
        self.trouble = ""
        self._log = log
        self._make_directory = make_directory
        self._shared = shared
        self._isolate = isolate
        self._retiring: dict[asyncio.Task[None], Revision] = {}
        self._former: dict[int, Revision] = {}
        self._opening = asyncio.Lock()

    @property
    def profile(self) -> Profile:
        """The rules that its live version runs by."""
        return load_profile(PLAIN) if self.live is None else self.live.profile

    @property
    def journal(self) -> Journal:
        """Is told what happens."""
        return self._shared.journal

    async def prepare(
        self, spec: FunctionSpec, bento: LocalBento, version: int, progress: Progress, *, wait: bool
    ) -> Revision:
        """Make a revision and prove that it starts; requests still go to the live one.

        Raises:
            UserError: It does not start; nothing of it is left.
        """
        revision = self.revision(spec, bento, version)
        services = revision.services
        try:
            if services is not None:
                await services.verify(progress, wait=wait)
            if bento.manifest.contract.has_deployment_hook:
                progress("Running the on_deployment hooks")
                await revision.launcher.run_deployment_hook()
            preparation = revision.launcher.prepare() if wait else None
            if preparation is not None:
                progress("Preparing fast starts")
                await preparation
            if GpuFunction.of(spec, bento.manifest) and not self._shared.gpus.there:
                progress("This machine has no GPU, which the service asks for: it does without")
            progress("Starting an instance")
            await revision.verify()
        except BaseException as error:
            await asyncio.shield(revision.close(0.0))
            if isinstance(error, UserError):
                why = str(error).rstrip(".")
                raise UserError(
                    f"{self.name} does not start: {why}; bentofn logs {self.name} shows what it "
                    "wrote."
                ) from error
            raise
        return revision

    def switch(self, revision: Revision, deployment: Deployment) -> None:
        """Send requests to a revision from now on; the former one finishes what it has."""
        former, self.live = self.live, revision
        self.deployment = deployment
        self.trouble = ""
        self.journal.publish(
            Deployed(self.journal.now(), self.name, deployment.version, revision.profile.name)
        )
        revision.open()
        for each in (former, self._former.pop(revision.version, None)):
            if each is not None:
                self._retire(each)

    def _retire(self, revision: Revision) -> None:
        patience = revision.spec.settings.timeout + revision.profile.timeouts.stop_grace
        retiring = asyncio.get_running_loop().create_task(revision.close(patience))
        self._retiring[retiring] = revision
        retiring.add_done_callback(self._retiring.pop)

    async def former(self, version: int, make: Callable[[], Awaitable[Revision]]) -> Revision:
        """A version that is not live any more, but is asked for; it goes to zero as the live one.

        Args:
            version: Its number.
            make: Makes its revision the first time.
        """
        async with self._opening:
            if version not in self._former:
                revision = await make()
                revision.open()
                self._former[version] = revision
            return self._former[version]

    def forget(self) -> None:
        """The function is not deployed any more; what it runs is for :meth:`close`."""
        self.deployment = None
        self.secrets = {}
        self.stats = Stats()

    def revision(self, spec: FunctionSpec, bento: LocalBento, version: int) -> Revision:
        """A revision of this function, with those of its services; it runs nothing yet."""
        contracts = in_order(bento.manifest.contract.services)
        if not contracts:
            return self._revision(spec, bento, version)
        spec = with_gpus_of_services(spec, bento.manifest.contract)
        own = self._make_directory()
        visible = own.parent.with_name(f"{own.parent.name}-services") / own.name
        services = Services([each.name for each in contracts], visible)
        for each in contracts:
            inner = spec_of(spec, each, services.environment)
            function = self._like(inner.name)
            label = f"{inner.name.rpartition('.')[2][:_LABEL]}-"
            function.live = function._revision(inner, bento_of(bento, each), version, label)
            services.add(each.name, function)
        revision = self._revision(entry_spec(spec, services.environment), bento, version)
        revision.services = services
        return revision

    def _revision(
        self, spec: FunctionSpec, bento: LocalBento, version: int, label: str = ""
    ) -> Revision:
        return Revision(
            spec,
            bento,
            version,
            profile_of(spec.settings),
            self._make_directory(),
            self._isolate(spec),
            self._log,
            self.stats,
            self._shared,
            label,
        )

    def _like(self, name: str) -> Function:
        """A function for a service of this one's, which writes into its log."""
        return Function(
            name,
            self._log,
            self._make_directory,
            self._shared,
            self._isolate,
            self._tasks_path.with_name(f"{name}.db"),
        )

    def _cost(self) -> float:
        now = self._shared.clock.monotonic()
        return sum(each.stats.cost(self.profile.name, now) for each in self.all())

    def all(self) -> list[Function]:
        """This one, and those of its live revision's services."""
        services = self.live.services if self.live is not None else None
        return [self, *(services.functions.values() if services is not None else ())]

    async def follow_tasks(self) -> None:
        """Have its tasks run by its live revision; without that it answers calls only."""
        try:
            for each in self.all():
                assert each.live is not None
                await each.tasks.follow(each.live)
        except (OSError, sqlite3.Error) as error:
            self.trouble = f"Its tasks cannot be kept in {self._tasks_path.parent}: {error}"
            print(f"{self.name}: {self.trouble}", file=sys.stderr)

    def begin_log(self) -> None:
        """It is being deployed: what is told of it is kept."""
        self._log.begin()

    def end_log(self) -> None:
        """It is gone: what is still told of it is not kept."""
        self._log.end()

    def write_log(self, source: str, line: str) -> None:
        """Write a line of the platform's own into its log."""
        self._log.write(source, "platform", line)

    async def close(self, patience: float) -> None:
        """Stop all that runs.

        Args:
            patience: Seconds for running requests to finish.
        """
        await self.tasks.close(patience)
        revisions = self._revisions
        for retiring in list(self._retiring):
            retiring.cancel()
        self._former.clear()
        self.live = None
        await asyncio.gather(*(revision.close(patience) for revision in revisions))
        self._log.close()

    @property
    def _revisions(self) -> list[Revision]:
        """All that may run something: the live one, former ones that are asked for or end."""
        live = [self.live] if self.live is not None else []
        return [*live, *self._former.values(), *self._retiring.values()]

    def status(self, url: str) -> FunctionStatus:
        """How the function stands."""
        assert self.deployment is not None
        live, stats = self.live, self.stats
        instances = tuple(each for one in self._revisions for each in one.instances())
        states = {instance.state for instance in instances}
        order = ("ready", "starting", "retiring", "parking", "stopping")
        found = [state for state in order if state in states]
        state = (
            {"ready": "running", "retiring": "running"}.get(found[0], found[0]) if found else "zero"
        )
        failure = f"its last start failed: {stats.last_failure}" if stats.last_failure else ""
        notes = (self.trouble, failure.rstrip("."), live.note if live else "")
        return FunctionStatus(
            name=self.name,
            url=url,
            version=self.deployment.version,
            bento=self.deployment.spec.bento,
            digest=self.deployment.digest,
            deployed=self.deployment.created,
            state=state if live else "broken",
            snapshot=live.launcher.snapshot if live else "none",
            note="; ".join(filter(None, notes)),
            apis=routes_of(live.bento.manifest.contract) if live else {},
            instances=instances,
            queued=sum(each.queued for each in self._revisions) + self.tasks.waiting,
            requests=stats.requests,
            refused=stats.refused,
            starts=dict(stats.starts),
            largest_batch=stats.largest_batch,
            last_start_ms=stats.last_start_ms,
            profile=self.profile.name,
            cost=self._cost(),
            currency=self.profile.price.currency,
        )
