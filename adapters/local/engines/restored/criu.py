"""Restores every instance from a snapshot on disk; nothing of the service has to be running."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.engines.base import (
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    StartFailed,
)
from bentofn.adapters.local.engines.checkpointed.driver import Driver
from bentofn.adapters.local.engines.plain import stop_all
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.bursts import Bursts
from bentofn.adapters.local.engines.restored.instances import restore_instance
from bentofn.adapters.local.engines.restored.learning import Learning
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.readahead import ReadAhead
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.obtain import Subject, key_of, obtain, recall
from bentofn.packager.snapshot.snapshot import Hold, Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.warm import keep_warmed, recall_warmed
from bentofn.runtime.errors import UserError
from bentofn.runtime.protocol import Restore

SNAPSHOT_ID = "snapshot"
"""Whose lines those of a service are that is started to be kept as a snapshot."""


@dataclass(frozen=True)
class _Kept:
    """The snapshot that starts come from.

    Args:
        snapshot: It.
        hold: Keeps it from being removed; None if it just was.
        ahead: Reads it where the page cache lost it.
    """

    snapshot: Snapshot
    hold: Hold | None
    ahead: ReadAhead

    @classmethod
    def of(cls, store: SnapshotStore, snapshot: Snapshot) -> _Kept:
        """Take a snapshot up; may wait for the disk and for who is removing it."""
        return cls(snapshot, store.hold(snapshot), ReadAhead(snapshot.path))

    def close(self) -> None:
        """Let it go; waits for what is being read."""
        self.ahead.close()
        if self.hold is not None:
            self.hold.close()


class CriuEngine:
    """The engine ``criu``: one snapshot, every instance is a restore of it.

    Args:
        launch: What the processes are started with.
        subject: What the snapshot is taken of.
        restorer: The platform's.
        timeout: Seconds in which the service must reach its snapshot point, and again to dump it.
        driver: Takes its memory off the GPU, and puts it back; None where it may have none there.
    """

    name = "criu"

    def __init__(
        self,
        launch: Launch,
        subject: Subject,
        restorer: Restorer,
        timeout: float,
        driver: Driver | None = None,
    ) -> None:
        self._launch = launch
        self._subject = subject
        self._driver = driver
        self._restorer = restorer
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._kept: _Kept | None = None
        self._learning = Learning()
        self._preparing = asyncio.Lock()
        self._called_off = threading.Event()
        self._instances: set[RunningInstance] = set()
        self._bursts = Bursts(launch, restorer)
        self._keeps = subject.warmable and driver is None

    async def recall(self) -> bool:
        """Take up the snapshot that is kept from earlier; False where there is none.

        Raises:
            EngineRefused: Nothing can be restored here.
        """
        await self._have(self._recall)
        return self._kept is not None

    async def prepare(self) -> None:
        """Take up the snapshot that is kept, or take one; again, it does nothing.

        Raises:
            EngineRefused: The host or the service does not allow it; the message says why.
        """
        async with self._restorer.taking:
            await self._have(self._obtain)

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        if self._kept is None:
            await self.prepare()
        assert self._kept is not None
        kept = self._kept
        with self._bursts.start():
            forked = None
            if self._driver is None:  # a fork may use no GPU
                forked = await self._bursts.fork(kept.snapshot.images, spec)
            return forked or await self._start_alone(kept, spec)

    async def _start_alone(self, kept: _Kept, spec: InstanceSpec) -> RunningInstance:
        instance = await self._restore(kept, spec)
        instance.keep_in(self._instances)
        if self._driver is None:
            self._learning.begin(kept.ahead, instance, self._instances)
        return instance

    def keeps(self, instance: Instance) -> bool:
        """Whether what an instance becomes can be kept: its service allows it, and none was yet.

        Forks of a template cannot.
        """
        first = self._kept is not None and not self._kept.snapshot.key.warmed
        return self._keeps and first and any(each is instance for each in self._instances)

    async def keep(self, instance: Instance) -> None:
        """End an instance and keep what it has become for later starts, if that is allowed.

        That is done once for a bento in an environment; where it fails the first snapshot stays.

        Args:
            instance: One that has served and has nothing to do; any other is let be.
        """
        known = next((each for each in self._instances if each is instance), None)
        before = self._kept
        if known is None or before is None or not self.keeps(instance):
            return
        self._keeps = False  # not again, whatever comes of it
        criu = await self._restorer.criu()
        try:
            kept = await asyncio.to_thread(self._keep, criu, before.snapshot.key, known)
        except (UserError, EngineRefused) as error:
            self._tell(f"the state of {instance.id} is not kept: {error}")
            return
        left = kept
        if kept.hold is not None and self._kept is before:
            left, self._kept = before, kept
        await asyncio.to_thread(left.close)

    def _keep(self, criu: Criu, key: SnapshotKey, instance: RunningInstance) -> _Kept:
        # One that ends while another process keeps the same needs its turn no more. A dump sees it.
        called_off = threading.Event()
        self._loop.call_soon_threadsafe(instance.when_ended, called_off.set)

        @contextlib.contextmanager
        def park(wire: Path) -> Iterator[int]:
            parking = instance.park(wire, self._timeout)
            asyncio.run_coroutine_threadsafe(parking, self._loop).result()
            yield instance.pid

        store, tag = self._restorer.store, self._subject.tag
        warmed = keep_warmed(store, key, tag, criu, park, self._timeout, self._tell, called_off)
        return _Kept.of(store, warmed)

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        self._learning.cancel()
        await stop_all(self._instances)
        await self._bursts.close()
        await self._let_go()

    async def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            await asyncio.to_thread(kept.close)

    async def _restore(self, kept: _Kept, spec: InstanceSpec) -> RunningInstance:
        request = Restore(
            "instance",
            spec.instance_id,
            spec.threads,
            self._launch.environment(spec),
            parks_again=self._keeps and not kept.snapshot.key.warmed,
        )
        if not kept.snapshot.images.is_dir():
            if self._kept is kept:
                await self._let_go()
            raise StartFailed(f"the snapshot {kept.snapshot.id[:12]} was removed")
        kept.ahead.start()
        return await restore_instance(
            self._launch, spec, self._restorer, kept.snapshot.images, request, self._driver
        )

    async def _have(self, find: Callable[[Criu], Snapshot | None]) -> None:
        async with self._preparing:
            if self._kept is not None:
                return
            criu = await self._restorer.criu()
            self._called_off = threading.Event()
            work = asyncio.create_task(asyncio.to_thread(self._take_up, find, criu))
            try:
                kept = await asyncio.shield(work)
            except asyncio.CancelledError:
                self._called_off.set()
                await _to_its_end(work)
                if work.exception() is None and (kept := work.result()) is not None:
                    kept.close()
                raise
            except UserError as error:
                raise EngineRefused(str(error).rstrip(".")) from error
            if kept is not None:
                self._kept = kept
                await self._restorer.warm()

    def _take_up(self, find: Callable[[Criu], Snapshot | None], criu: Criu) -> _Kept | None:
        found = find(criu)
        return _Kept.of(self._restorer.store, found) if found is not None else None

    def _recall(self, criu: Criu) -> Snapshot | None:
        store = self._restorer.store
        key = key_of(store, self._subject, criu)
        warmed = recall_warmed(store, key, self._tell) if self._subject.warmable else None
        return warmed or recall(store, key, self._tell)

    def _obtain(self, criu: Criu) -> Snapshot:
        kept = self._recall(criu)
        if kept is not None:
            return kept
        self._launch.have_compiled()
        store = self._restorer.store
        key = key_of(store, self._subject, criu)
        return obtain(
            store, key, self._subject, criu, self._timeout, self._log, self._tell, self._called_off
        )

    def _tell(self, line: str) -> None:
        self._log("platform", line)

    def _log(self, stream: str, line: str) -> None:
        """Write a line to the log, from any thread."""
        self._loop.call_soon_threadsafe(self._launch.log, SNAPSHOT_ID, stream, line)


async def _to_its_end(work: asyncio.Task[_Kept | None]) -> None:
    """Wait for work that was called off, also where who waits is called off again."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
