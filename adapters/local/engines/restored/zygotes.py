"""The zygotes of a home that are kept on disk: nothing is resident until a function needs one.

A restored zygote becomes an instance, or a template, itself: nothing stays behind for others, who
restore their own, and whose mounts are those of now.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bentofn.adapters.local.engines.base import (
    EngineRefused,
    InstanceSpec,
    Launch,
    StartFailed,
    ZygoteFailed,
)
from bentofn.adapters.local.engines.forked.parent import Parent
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.recent import Recent
from bentofn.adapters.local.engines.restored.instances import restore_instance
from bentofn.adapters.local.engines.restored.learning import Learning
from bentofn.adapters.local.engines.restored.patience import Asked, Patience
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.restored.template import restore_template
from bentofn.adapters.local.environment import fingerprint
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.readahead import ReadAhead
from bentofn.packager.snapshot.parked import SnapshotRefused, StartsThreads
from bentofn.packager.snapshot.snapshot import Hold, Snapshot
from bentofn.packager.snapshot.zygote import (
    Packages,
    ZygoteSnapshot,
    recall_zygote,
    take_zygote,
    zygote_name,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.protocol import Restore
from bentofn.runtime.zygote.variables import that_matter

TIMEOUT = 300.0
"""Seconds in which packages must be imported: it is done behind whatever answers requests."""


@dataclass(frozen=True)
class KeptZygote:
    """One zygote that can be restored.

    Args:
        packages: What it is for.
        environment: What of an environment its modules looked at.
        kept: It, on disk.
        ahead: Reads it where the page cache lost it.
        learning: Finds out what that has to be.
        instances: Those that were restored from it and live.
        patience: When it is restored again after that failed.
    """

    packages: Packages
    environment: Mapping[str, str]
    kept: ZygoteSnapshot
    ahead: ReadAhead
    learning: Learning = field(default_factory=Learning)
    instances: set[RunningInstance] = field(default_factory=set)
    patience: Patience = field(default_factory=Patience)

    @property
    def snapshot(self) -> Snapshot:
        """It, on disk."""
        return self.kept.snapshot

    def fits(self, packages: Packages, environment: Mapping[str, str]) -> bool:
        """Whether a function with these packages and this environment may start from it."""
        usable = self.kept.tree.is_dir() and self.snapshot.images.is_dir()
        matters = that_matter(environment, self.kept.read)
        return usable and packages == self.packages and matters == dict(self.environment)


_Question = tuple[Packages, str]


class KeptZygotes:
    """The zygotes that a platform restores.

    Args:
        restorer: The platform's.
        log: Called with lines about them, and what they write.
    """

    def __init__(self, restorer: Restorer, log: Callable[[str], None]) -> None:
        self._restorer = restorer
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._known: list[KeptZygote] = []
        self._left: list[KeptZygote] = []
        self._asked: Recent[_Question, Asked] = Recent(Asked)
        self._turn = asyncio.Lock()
        self._work: set[asyncio.Task[None]] = set()
        self._called_off = threading.Event()

    def find(self, packages: Packages, environment: Mapping[str, str]) -> KeptZygote | None:
        """The zygote that a function may start from now, of those that were taken up."""
        now = self._loop.time()
        able = (each for each in self.known() if each.patience.allows(now))
        return next((each for each in able if each.fits(packages, environment)), None)

    async def recall(self, packages: Packages, environment: Mapping[str, str]) -> None:
        """Take up the zygote that is kept from earlier, if there is one.

        Asked again, it does nothing, unless it could not look and may look again.
        """
        asked = self._asked[_question(packages, environment)]
        if asked.recall is None and asked.recalls.allows(self._loop.time()):
            asked.recall = self._background(self._recall(asked, packages, environment))
        if asked.recall is not None:
            await asyncio.shield(asked.recall)

    async def prepare(self, packages: Packages, tree: Path, environment: Mapping[str, str]) -> None:
        """Make sure of a zygote for a function, one at a time; again, it does nothing.

        Args:
            packages: The function's.
            tree: Where they stand.
            environment: The function's.

        Raises:
            EngineRefused: The host or these packages do not allow it; the message says why.
        """
        # A task of its own: others may wait for it too, and a function that goes must not end it.
        await asyncio.shield(self._background(self._prepare(packages, tree, environment)))

    async def start(
        self, zygote: KeptZygote, launch: Launch, spec: InstanceSpec
    ) -> RunningInstance:
        """Restore a zygote as an instance; it is not ready yet when this returns.

        Raises:
            ZygoteFailed: It cannot be restored; it is not tried again at once.
        """
        env = launch.environment(spec)
        request = Restore("instance", spec.instance_id, spec.threads, env)
        hold = await self._hold(zygote)
        try:
            instance = await restore_instance(
                launch, spec, self._restorer, zygote.snapshot.images, request
            )
        except (StartFailed, EngineRefused) as error:
            patience = zygote.patience
            patience.failed(self._loop.time(), lasting=False, reason=str(error))
            outcome = "is given up" if patience.exhausted else "was not restored"
            self._log(f"{zygote.snapshot.origin.bento} {outcome}: {error}")
            raise ZygoteFailed(str(error)) from error
        finally:
            hold.close()
        zygote.patience.succeeded()
        instance.keep_in(zygote.instances)
        zygote.learning.begin(zygote.ahead, instance, zygote.instances)
        return instance

    async def template(self, zygote: KeptZygote, launch: Launch) -> Parent:
        """Restore a zygote as the template of a bento, which has constructed when this returns.

        Raises:
            StartFailed: The template cannot be started so.
            EngineRefused: It must not fork.
        """
        hold = await self._hold(zygote)
        try:
            return await restore_template(launch, self._restorer, zygote.snapshot.images)
        finally:
            hold.close()

    async def close(self) -> None:
        """Call off what is being made; what was restored is who asked for it's."""
        self._called_off.set()
        await asyncio.gather(*self._work, return_exceptions=True)
        for zygote in list(self._known):
            self._drop(zygote)
        await asyncio.gather(*self._work, return_exceptions=True)

    def known(self) -> list[KeptZygote]:
        """Those that were taken up and can be restored, now or later."""
        for each in list(self._known):
            if not each.snapshot.images.is_dir():
                self._drop(each)
        return [each for each in self._known if not each.patience.exhausted]

    def living(self) -> list[KeptZygote]:
        """Those that can be restored, and those that cannot any more but have instances."""
        self._left = [each for each in self._left if each.instances]
        exhausted = [each for each in self._known if each.patience.exhausted and each.instances]
        return [*self.known(), *exhausted, *self._left]

    def _drop(self, zygote: KeptZygote) -> None:
        self._known.remove(zygote)
        self._left.append(zygote)
        zygote.learning.cancel()
        self._background(asyncio.to_thread(zygote.ahead.close))

    async def _hold(self, zygote: KeptZygote) -> Hold:
        hold = await asyncio.to_thread(self._restorer.store.hold, zygote.snapshot)
        if hold is None:
            raise ZygoteFailed("the snapshot of its packages' zygote was removed")
        zygote.ahead.start()
        return hold

    async def _recall(
        self, asked: Asked, packages: Packages, environment: Mapping[str, str]
    ) -> None:
        if self.find(packages, environment) is not None:
            return
        try:
            criu = await self._restorer.criu()
            kept = await asyncio.to_thread(
                recall_zygote, self._restorer.store, packages, environment, criu, self._log
            )
        except (EngineRefused, UserError, OSError) as error:
            # Who prepares one hears it.
            if asked.recalls.failed(self._loop.time(), lasting=False, reason=str(error)):
                self._log(f"{zygote_name(packages)} is looked for no more: {error}")
            asked.recall = None
            return
        if kept is not None:
            await self._take_up(packages, environment, kept)
            await self._restorer.warm()

    async def _prepare(
        self, packages: Packages, tree: Path, environment: Mapping[str, str]
    ) -> None:
        patience = self._asked[_question(packages, environment)].takes
        async with self._turn, self._restorer.taking:
            if self.find(packages, environment) is not None:
                return
            if not patience.allows(self._loop.time()):
                raise EngineRefused(patience.reason)
            criu = await self._restorer.criu()
            try:
                kept = await asyncio.to_thread(self._take, packages, tree, environment, criu)
            except (UserError, OSError) as error:
                lasting = isinstance(error, (SnapshotRefused, StartsThreads))
                reason = str(error).rstrip(".")
                if patience.failed(self._loop.time(), lasting=lasting, reason=reason):
                    self._log(f"{zygote_name(packages)} is not kept and given up: {reason}")
                raise EngineRefused(reason) from error
            zygote = await self._take_up(packages, environment, kept)
            if zygote.patience.exhausted:
                raise EngineRefused(f"it could not be restored: {zygote.patience.reason}")
            await self._restorer.warm()

    def _take(
        self, packages: Packages, tree: Path, environment: Mapping[str, str], criu: Criu
    ) -> ZygoteSnapshot:
        return take_zygote(
            self._restorer.store, packages, tree, environment, criu, TIMEOUT,
            lambda stream, line: self._log(f"zygote, {stream}: {line}"), self._log,
            self._called_off,
        )  # fmt: skip

    async def _take_up(
        self, packages: Packages, environment: Mapping[str, str], kept: ZygoteSnapshot
    ) -> KeptZygote:
        ahead = await asyncio.to_thread(ReadAhead, kept.snapshot.path)
        for each in list(self._known):
            if _identity(each.snapshot) == _identity(kept.snapshot):
                return each  # another function has just done it, or it waits to be tried again
            if each.snapshot.id == kept.snapshot.id:
                self._drop(each)  # the new one stands in its place
        matters = that_matter(environment, kept.read)
        zygote = KeptZygote(packages, matters, kept, ahead)
        self._known.append(zygote)
        return zygote

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        # Whoever waited may have gone.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task


def _question(packages: Packages, environment: Mapping[str, str]) -> _Question:
    return packages, fingerprint(environment)


def _identity(snapshot: Snapshot) -> tuple[str, datetime]:
    """What tells a snapshot from one that was taken anew in its place."""
    return snapshot.id, snapshot.origin.created
