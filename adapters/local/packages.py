"""The zygote of a version's packages, from which its instances start as long as that works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.engines import EngineRefused, Launch, StartFailed
from bentofn.adapters.local.engines.base import ZygoteFailed
from bentofn.adapters.local.engines.forked.zygote import ZygoteEngine
from bentofn.adapters.local.engines.restored.patience import Patience
from bentofn.adapters.local.engines.shared import Shared
from bentofn.packager.snapshot.zygote import Packages
from bentofn.runtime.layout import BentoRoot


class PackagesZygote:
    """A version's.

    It is restored from disk, or forked where nothing can be. No rehearsal has proved it: what
    cannot be restored is given up at its first start, and that goes on in another way.

    Args:
        bento: What it runs.
        shares: Whether it may start from one at all.
        shared: The platform's.
        how_to_launch: What its processes are started with.
        tell: Takes what its log is told.
    """

    def __init__(
        self,
        bento: LocalBento,
        shares: bool,
        shared: Shared,
        how_to_launch: Callable[[], Awaitable[Launch]],
        tell: Callable[[str], None],
    ) -> None:
        self._packages = bento.packages
        self._shares = shares and bool(bento.packages)
        self._shared = shared
        self._how_to_launch = how_to_launch
        self._tell = tell
        self._engine: ZygoteEngine | None = None
        self._patience = Patience()
        self._warming: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether the next instance may start from it."""
        return self._may_share and self._engine is not None and self._engine.available

    async def engine(self) -> ZygoteEngine | None:
        """What starts from it; None where this function may not."""
        if self._engine is None and self._may_share:
            launch = await self._how_to_launch()
            runtime = BentoRoot(launch.root).runtime.resolve()
            packages = Packages(self._packages, runtime, launch.python.resolve())
            self._engine = ZygoteEngine(
                packages, self._shared.zygotes, launch, self._shared.kept_zygotes
            )
        return self._engine if self._may_share else None

    async def recall(self) -> None:
        """Take up what earlier platforms and functions left on disk."""
        engine = await self.engine()
        if engine is not None:
            await engine.recall()

    def succeeded(self) -> None:
        """An instance started from it."""
        self._patience.succeeded()

    def failed(self, error: StartFailed | EngineRefused) -> None:
        """An instance did not start from it; this function may give it up then."""
        gives_up = False
        if not isinstance(error, ZygoteFailed):  # that is tried again, or given up, for all
            now, lasting = asyncio.get_running_loop().time(), isinstance(error, EngineRefused)
            gives_up = self._patience.failed(now, lasting=lasting, reason=str(error))
        outcome = "not started from any more" if gives_up else "not started from"
        self._tell(f"{outcome}: {error}")

    def warm(
        self,
        after: asyncio.Task[None] | None,
        turn: Callable[[], AbstractAsyncContextManager[Mapping[str, str] | None]],
    ) -> None:
        """Have one in the background.

        Args:
            after: Other work in the background, which is done first.
            turn: Gives what is needed to start the service once, such as a GPU.
        """
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm(after, turn))

    async def close(self) -> None:
        """Stop what is being done, and what was started from it."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        if self._engine is not None:
            await self._engine.close()

    @property
    def _may_share(self) -> bool:
        return self._shares and self._patience.allows(asyncio.get_running_loop().time())

    async def _warm(
        self,
        after: asyncio.Task[None] | None,
        turn: Callable[[], AbstractAsyncContextManager[Mapping[str, str] | None]],
    ) -> None:
        if after is not None:
            await asyncio.wait([after])
        launch = await self._how_to_launch()
        if await asyncio.to_thread(launch.would_compile):
            async with turn() as gpus:
                await asyncio.to_thread(launch.have_compiled, gpus)
        engine = await self.engine()
        if engine is not None:
            try:
                await engine.prepare()
            except (StartFailed, EngineRefused) as error:
                self._tell(f"there is none: {error}")
