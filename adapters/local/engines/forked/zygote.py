"""Starts an instance from the zygote of its packages, which has imported them."""

from __future__ import annotations

from pathlib import Path

from bentofn.adapters.local.engines.base import (
    EngineRefused,
    InstanceSpec,
    Launch,
    ZygoteFailed,
)
from bentofn.adapters.local.engines.forked.parent import Parent, ParentGoneError
from bentofn.adapters.local.engines.forked.zygotes import Zygote, Zygotes
from bentofn.adapters.local.engines.plain import stop_all
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.zygotes import KeptZygote, KeptZygotes
from bentofn.packager.snapshot.zygote import Packages
from bentofn.runtime.layout import BentoRoot


class ZygoteEngine:
    """The engine ``zygote``: the packages are imported, the rest happens in every instance.

    Args:
        packages: What the bento shares with others.
        zygotes: The platform's that run, and fork.
        launch: What its processes are started with.
        kept: The platform's that are restored; the others are for where none can be.
    """

    name = "zygote"

    def __init__(
        self,
        packages: Packages,
        zygotes: Zygotes,
        launch: Launch,
        kept: KeptZygotes | None = None,
    ) -> None:
        self._packages = packages
        self._zygotes = zygotes
        self.launch = launch
        self._kept = kept
        self._instances: set[RunningInstance] = set()

    @property
    def available(self) -> bool:
        """Whether there is a zygote to start from now."""
        spec = InstanceSpec("")
        return (self._find_kept(spec) or self._find(spec)) is not None

    async def recall(self) -> None:
        """Take up what is kept on disk from earlier."""
        if self._kept is not None:
            await self._kept.recall(self._packages, self.launch.environment())

    async def prepare(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        environment = self.launch.environment()
        if self._kept is not None:
            try:
                await self._kept.prepare(self._packages, self._tree(), environment)
            except EngineRefused as error:
                self.launch.log(self.name, "platform", f"not kept as a snapshot: {error}")
            else:
                return
        await self._zygotes.warm(self._packages, self.launch.root, environment)

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        kept = self._find_kept(spec)
        if self._kept is not None and kept is not None:
            instance = await self._kept.start(kept, self.launch, spec)
        else:
            instance = await self._fork(spec)
        instance.keep_in(self._instances)
        return instance

    async def template(self) -> Parent | None:
        """A template of the bento that is restored from the zygote; None where there is none.

        Raises:
            StartFailed: It cannot be started so.
            EngineRefused: It must not fork.
        """
        kept = self._find_kept(InstanceSpec(""))
        if self._kept is None or kept is None:
            return None
        return await self._kept.template(kept, self.launch)

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await stop_all(self._instances)

    async def _fork(self, spec: InstanceSpec) -> RunningInstance:
        zygote = self._find(spec)
        if zygote is None:
            raise ZygoteFailed("there is no zygote of its packages")
        self._zygotes.use(zygote)
        try:
            return await zygote.parent.clone(self.launch, spec)
        except ParentGoneError:
            raise ZygoteFailed("the zygote of its packages has ended") from None

    def _tree(self) -> Path:
        return BentoRoot(self.launch.root).environment.resolve()

    def _find(self, spec: InstanceSpec) -> Zygote | None:
        return self._zygotes.find(self._packages, self.launch.environment(spec))

    def _find_kept(self, spec: InstanceSpec) -> KeptZygote | None:
        if self._kept is None:
            return None
        return self._kept.find(self._packages, self.launch.environment(spec))
