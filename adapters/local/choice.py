"""Which engine a revision's instances start with: the fastest that works, found step by step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from bentofn.adapters.local.engines import Engine, EngineRefused, StartFailed
from bentofn.adapters.local.engines.base import KeepingEngine
from bentofn.adapters.protocol import Snapshot

CANDIDATES: dict[Snapshot, tuple[str, ...]] = {
    "auto": ("criu", "template"),
    "criu": ("criu",),
    "template": ("template",),
    "none": (),
}
"""A function's setting to the engines that are tried, the fastest first."""

ATTEMPTS = 3
"""How often one engine is prepared until an instance starts with it; lost thrice, it is not worth
more. Where nothing else may start the function, each of its starts may try as often."""

PATIENCE = {"criu": 3, "template": 1}
"""Failed starts in a row after which an engine is given up. A snapshot stays what it is, so what
failed once may have been the moment; a template that fails is replaced."""

_MEANS = {"criu": "restored from a snapshot", "template": "forked from a template"}


@dataclass
class _Candidate:
    name: str
    attempts: int = 0
    failures: int = 0
    refused: str = ""
    engine: Engine | None = None

    @property
    def open(self) -> bool:
        return not self.refused and self.attempts < ATTEMPTS


class EngineChoice:
    """The engines of one revision that restore.

    Args:
        setting: The function's.
        make: Makes an engine by its name.
        timeout: Seconds in which a template must be warm.
        tell: Told each step, with the engine's name.
        turn: Gives what an engine is prepared with, such as a GPU; not asked where a start waits.
        without: Engines that are not tried.
    """

    def __init__(
        self,
        setting: Snapshot,
        make: Callable[[str], Awaitable[Engine]],
        timeout: float,
        tell: Callable[[str, str], None],
        turn: Callable[[], AbstractAsyncContextManager[object]] = contextlib.nullcontext,
        without: Collection[str] = (),
    ) -> None:
        self._setting = setting
        self._make = make
        self._timeout = timeout
        self._tell = tell
        self._turn = contextlib.nullcontext if self.must_restore else turn
        names = [name for name in CANDIDATES[setting] if name not in without]
        self._candidates = [_Candidate(name) for name in names]
        self._current: _Candidate | None = None
        self._recalling: asyncio.Task[None] | None = None
        self._preparation: asyncio.Task[None] | None = None
        self._given_up: list[Engine] = []
        self.note = ""

    @property
    def current(self) -> Engine | None:
        """The engine that the next instance starts with; None for a plain start."""
        return self._current.engine if self._current is not None else None

    @property
    def preparation(self) -> asyncio.Task[None] | None:
        """The work that prepares an engine, also when it is done."""
        return self._preparation

    @property
    def must_restore(self) -> bool:
        """Whether the function may not start plainly."""
        return self._setting in ("criu", "template")

    @property
    def state(self) -> str:
        """The current engine's name, or ``preparing`` or ``none``."""
        if self._current is not None:
            return self._current.name
        preparing = self._preparation is not None and not self._preparation.done()
        return "preparing" if preparing else "none"

    async def recall(self) -> None:
        """Take up what is kept on disk, once; it takes no service to be started."""
        if self._recalling is None:
            self._recalling = asyncio.create_task(self._recall())
        await asyncio.shield(self._recalling)

    def prepare(self) -> asyncio.Task[None] | None:
        """Have the fastest engine prepared in the background, unless there is one or none is left.

        Returns:
            The work; it raises StartFailed where the function may not start plainly and the service
            does not start. Any other failure is no error: ``note`` says why.
        """
        if self._current is None and (self._preparation is None or self._preparation.done()):
            if not any(candidate.open for candidate in self._candidates):
                return None
            self._preparation = asyncio.create_task(self._prepare())
            # Who does not wait for it reads the failure in the note.
            self._preparation.add_done_callback(lambda t: t.cancelled() or t.exception())
        return self._preparation

    async def demand(self) -> None:
        """Have an engine for a function that may not start plainly.

        Raises:
            StartFailed: There will be none.
        """
        await self.recall()
        preparation = self.prepare()
        if preparation is not None:
            # Other starts wait for it too: one that is called off must not end it.
            await asyncio.shield(preparation)
        if self._current is None:
            for candidate in self._candidates:
                candidate.attempts = 0  # this start has failed; the next may do
            raise StartFailed(
                f"{self.note}; mend that, or deploy it with snapshot: auto, which starts it plainly"
            )

    def started(self, engine: Engine) -> None:
        """An engine has started an instance."""
        if self._current is not None and self._current.engine is engine:
            self._current.failures = self._current.attempts = 0

    def failed(self, engine: Engine, error: Exception) -> None:
        """An engine did not start an instance that starts otherwise, or may not be.

        After some failures it is given up.
        """
        candidate = self._current
        if candidate is None or candidate.engine is not engine:
            return
        candidate.failures += 1
        if candidate.failures < PATIENCE[candidate.name]:
            return
        # Closing it now would end the instances that it has made.
        self._given_up.append(engine)
        self._current, candidate.engine, candidate.failures = None, None, 0
        if candidate.name == "criu":
            candidate.refused = f"its snapshot failed {PATIENCE['criu']} times: {error}"
            self._step_down(candidate, candidate.refused)
        else:
            self._say(candidate, f"the template is given up: {error}")

    async def close(self) -> None:
        """Stop all that the engines run."""
        works = [work for work in (self._recalling, self._preparation) if work is not None]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        made = [candidate.engine for candidate in self._candidates]
        self._current = None
        for engine in (*made, *self._given_up):
            if engine is not None:
                await engine.close()

    async def _recall(self) -> None:
        for candidate in self._candidates:
            try:
                engine = await self._engine(candidate)
                if self._current is not None or not isinstance(engine, KeepingEngine):
                    continue
                if await engine.recall():
                    self._current = candidate
            except EngineRefused as error:
                await self._refuse(candidate, error)

    async def _prepare(self) -> None:
        await self.recall()
        failure: StartFailed | None = None
        for candidate in self._candidates:
            if self._current is None and candidate.open:
                candidate.attempts += 1
                failure = await self._try(candidate)
        if failure is not None and self.must_restore:
            raise failure

    async def _try(self, candidate: _Candidate) -> StartFailed | None:
        engine = await self._engine(candidate)
        try:
            async with self._turn():
                await self._warm(engine)
        except EngineRefused as error:
            await self._refuse(candidate, error)
        except BaseException as error:
            candidate.engine = None
            await engine.close()
            if not isinstance(error, StartFailed):
                raise
            self._say(candidate, f"no template: {error}")
            return error
        else:
            self._current = candidate
            if candidate is self._candidates[0]:
                self.note = ""
            self._tell(candidate.name, "ready")
        return None

    async def _warm(self, engine: Engine) -> None:
        if isinstance(engine, KeepingEngine):  # a dump is no start, and takes its own time
            return await engine.prepare()
        try:
            await asyncio.wait_for(engine.prepare(), self._timeout)
        except asyncio.TimeoutError:
            raise StartFailed(f"it was not warm within {self._timeout:g} s") from None

    async def _engine(self, candidate: _Candidate) -> Engine:
        if candidate.engine is None:
            candidate.engine = await self._make(candidate.name)
        return candidate.engine

    async def _refuse(self, candidate: _Candidate, error: EngineRefused) -> None:
        engine, candidate.engine = candidate.engine, None
        candidate.refused = str(error)
        self._step_down(candidate, candidate.refused)
        if engine is not None:
            await engine.close()

    def _step_down(self, candidate: _Candidate, reason: str) -> None:
        left = [other.name for other in self._candidates if other.open and other is not candidate]
        if left:
            outcome = f"instances are {_MEANS[left[0]]}, not {_MEANS[candidate.name]}"
        else:
            outcome = "no instance starts" if self.must_restore else "instances start plainly"
        self._say(candidate, f"{outcome}: {reason}")

    def _say(self, candidate: _Candidate, note: str) -> None:
        self.note = note
        self._tell(candidate.name, note)
