"""Restores processes with CRIU workers that are started ahead, for all functions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentofn.adapters.local.engines.base import EngineRefused, StartFailed
from bentofn.adapters.local.engines.restored.offspring import Offspring, watch
from bentofn.adapters.local.engines.restored.stock import CALM, Stock
from bentofn.adapters.local.engines.sockets import readable
from bentofn.packager.snapshot.criu.binary import Criu, find_criu
from bentofn.packager.snapshot.criu.causes import first_error
from bentofn.packager.snapshot.criu.kdat import ensure_kdat
from bentofn.packager.snapshot.criu.open_files import WIRE
from bentofn.packager.snapshot.criu.rpc import (
    Paused,
    Restored,
    RestoreFailed,
    parse_response,
    restore_request,
)
from bentofn.packager.snapshot.criu.worker import NOTICED_WITHIN, Worker, prime, reap
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.errors import UserError
from bentofn.runtime.protocol import Restore, encode
from bentofn.runtime.stages import stage

TIMEOUT = 30.0
"""Seconds that CRIU may take for a restore; it takes milliseconds."""

DELETED_FILES = "remap-fpath.img"
"""The image that a dump has where the process held files without a name: a lock of
``multiprocessing``'s (tqdm makes one), a temporary file."""

TAKEN_AT_ONCE = 2
"""Snapshots that are taken at a time, of all functions: each starts a service, and keeps one of the
few threads that asyncio has (the processors and four) for as long as that and the dump take."""

REFILL_DELAY = 0.1
"""Seconds after a restore in which the processors are left to what was restored."""


class Restorer:
    """Restores snapshots, each with a worker that was primed before.

    What it restores dies with the thread that primed the worker: the event loop's must live as long
    as the platform.

    Args:
        store: The home's snapshots.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store
        self.taking = asyncio.Semaphore(TAKEN_AT_ONCE)
        self._criu: Criu | None = None
        self._finding = asyncio.Lock()
        self._workers: deque[Worker] = deque()
        self._stock = Stock()
        self._refill: asyncio.TimerHandle | None = None
        self._releases: set[asyncio.Task[None]] = set()
        self._restores: set[asyncio.Task[Offspring]] = set()
        self._in_turn = asyncio.Lock()
        self._closed = False

    async def criu(self) -> Criu:
        """The host's CRIU, fit and ready to start quickly.

        Raises:
            EngineRefused: There is none; the message says what to do.
        """
        async with self._finding:
            if self._criu is None:
                try:
                    self._criu = await asyncio.to_thread(_find)
                except UserError as error:
                    raise EngineRefused(str(error).rstrip(".")) from error
            return self._criu

    async def warm(self) -> None:
        """Have workers primed.

        Raises:
            EngineRefused: There is no CRIU.
        """
        await self.criu()
        self._schedule(0.0)

    async def restore(self, images: Path, request: Restore, fds: Sequence[int]) -> Offspring:
        """Restore a process; it runs when this returns, and is not yet ready.

        Args:
            images: The images.
            request: What it is to be.
            fds: What it is given for that (:data:`bentofn.runtime.protocol.RESTORE_FDS`).

        Raises:
            StartFailed: CRIU could not; its reason.
            EngineRefused: There is no CRIU.
        """
        command = (await self.criu()).command
        # A caller that gives up must not leave a process that nobody knows, and closes its own.
        given = [os.dup(fd) for fd in fds]
        work = asyncio.create_task(self._restore(command, images, request, given))
        self._restores.add(work)
        work.add_done_callback(self._restores.discard)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(_disown)
            raise

    async def close(self) -> None:
        """Wait for what is being restored, and end the workers that nobody took."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
        await asyncio.gather(*self._restores, return_exceptions=True)
        workers, self._workers = list(self._workers), deque()
        for worker in workers:
            await asyncio.to_thread(worker.dismiss)
        await asyncio.gather(*self._releases, return_exceptions=True)

    def _take(self, command: Sequence[str]) -> Worker:
        loop = asyncio.get_running_loop()
        worker = None
        while worker is None and self._workers:
            worker = self._workers.popleft()
            if worker.process.poll() is not None:  # somebody killed it
                self._let_go(asyncio.to_thread(worker.dismiss))
                worker = None
        self._stock.taken(len(self._workers), loop.time())
        return worker or self._prime(command)

    async def _restore(
        self, command: Sequence[str], images: Path, request: Restore, given: Sequence[int]
    ) -> Offspring:
        # CRIU gives a deleted file its name again for a moment, the same one in every restore.
        alone = self._in_turn if (images / DELETED_FILES).exists() else contextlib.nullcontext()
        try:
            async with alone:
                result = await self._ask(self._take(command), images, request, given)
                if isinstance(result, RestoreFailed) and result.unanswered:
                    # Somebody killed the worker, which says nothing of the images.
                    result = await self._ask(self._prime(command), images, request, given)
        finally:
            for fd in given:
                os.close(fd)
            self._schedule(REFILL_DELAY)
        if isinstance(result, RestoreFailed):
            raise StartFailed(f"CRIU could not restore it: {result.reason}")
        return result

    async def _ask(
        self, worker: Worker, images: Path, request: Restore, given: Sequence[int]
    ) -> Offspring | RestoreFailed:
        loop = asyncio.get_running_loop()
        worker.wire.setblocking(False)
        # What CRIU answers, or that it does not, says why it does not take all of it.
        with stage("restore.message"), contextlib.suppress(OSError):
            worker.request(images)
            # CRIU works while the process's orders are written to where it will find them.
            data = encode(replace(request, private_mounts=True))
            sent = socket.send_fds(worker.wire, [data], given)
            await loop.sock_sendall(worker.wire, data[sent:])
        result = await _answer(worker, images)
        if isinstance(result, Restored):
            worker.wire.close()
            self._let_go(asyncio.to_thread(worker.release))
            return Offspring(result.pid, watch(result.pid))
        reason = first_error("\n".join(worker.errors())) or result.reason
        ended = await asyncio.to_thread(worker.discard, given)
        if ended:
            self._let_go(_reap_later(ended))
        return replace(result, reason=reason)

    def _schedule(self, delay: float) -> None:
        if self._refill is not None:
            self._refill.cancel()
        if not self._closed:
            self._refill = asyncio.get_running_loop().call_later(delay, self._fill)

    def _fill(self) -> None:
        """Prime one worker or end one; on the loop's thread, with whom what is restored dies."""
        if self._criu is None:
            return
        loop = asyncio.get_running_loop()
        wanted = self._stock.wanted(loop.time())
        if len(self._workers) > wanted:
            self._let_go(asyncio.to_thread(self._workers.pop().dismiss))
        elif len(self._workers) < wanted:
            try:
                self._workers.append(prime(self._criu.command, self.store.path))
            except OSError:
                return  # the next restore says why, and tries again
        if len(self._workers) != wanted:
            self._schedule(0.0)
        elif wanted > self._stock.least:
            self._schedule(CALM)

    def _prime(self, command: Sequence[str]) -> Worker:
        try:
            with stage("restore.worker"):
                return prime(command, self.store.path)
        except OSError as error:
            raise StartFailed(f"CRIU cannot be started: {error.strerror}") from error

    def _let_go(self, work: Coroutine[Any, Any, None]) -> None:
        release = asyncio.create_task(work)
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)


def _find() -> Criu:
    criu = find_criu()
    ensure_kdat(criu)
    # What they load is loaded here, and not by the first request that waits.
    restore_request(Path("/"), {WIRE: 0}, 0)
    parse_response(b"")
    return criu


async def _answer(worker: Worker, images: Path) -> Restored | RestoreFailed:
    while True:
        try:
            with stage("restore.criu"):
                await asyncio.wait_for(readable(worker.rpc.fileno(), worker.ended), TIMEOUT)
        except asyncio.TimeoutError:
            return RestoreFailed(f"it took over {TIMEOUT:g} s")
        said = worker.said(0.0)
        if not isinstance(said, Paused):
            return said
        if said.has_memory:
            with stage("restore.fill"):
                failed = await asyncio.to_thread(worker.go_on, said, images)
        else:
            failed = worker.go_on(said, images)
        if failed is not None:
            return failed


async def _reap_later(ended: Sequence[int]) -> None:
    """Take the ends of children that nobody waits for, and of no others."""
    await asyncio.sleep(NOTICED_WITHIN)
    reap(ended)


def _disown(work: asyncio.Task[Offspring]) -> None:
    """End what was restored for somebody who has left."""
    if not work.cancelled() and work.exception() is None:
        offspring = work.result()
        with contextlib.suppress(ProcessLookupError):
            os.kill(offspring.pid, signal.SIGKILL)
