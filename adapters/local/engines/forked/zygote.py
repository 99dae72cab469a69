"""Forks an instance out of the zygote of its packages, which has imported them."""

from __future__ import annotations

from bentofn.adapters.local.engines.base import EngineRefused, InstanceSpec, Launch
from bentofn.adapters.local.engines.forked.parent import ParentGoneError
from bentofn.adapters.local.engines.forked.zygotes import Packages, Zygote, Zygotes
from bentofn.adapters.local.engines.plain import stop_all
from bentofn.adapters.local.engines.process import RunningInstance


class ZygoteEngine:
    """The engine ``zygote``: the packages are imported, the rest happens in every instance.

    Args:
        packages: What the bento shares with others.
        zygotes: The platform's.
        launch: What its processes are started with.
    """

    name = "zygote"

    def __init__(self, packages: Packages, zygotes: Zygotes, launch: Launch) -> None:
        self._packages = packages
        self._zygotes = zygotes
        self._launch = launch
        self._instances: set[RunningInstance] = set()

    @property
    def available(self) -> bool:
        """Whether there is a zygote to start from now."""
        return self._find(InstanceSpec("")) is not None

    async def prepare(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await self._zygotes.warm(self._packages, self._launch.root, self._launch.environment())

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        zygote = self._find(spec)
        if zygote is None:
            raise EngineRefused("there is no zygote of its packages")
        self._zygotes.use(zygote)
        try:
            instance = await zygote.parent.clone(self._launch, spec)
        except ParentGoneError:
            raise EngineRefused("the zygote of its packages has ended") from None
        instance.keep_in(self._instances)
        return instance

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await stop_all(self._instances)

    def _find(self, spec: InstanceSpec) -> Zygote | None:
        return self._zygotes.find(self._packages, self._launch.environment(spec))
