"""Forks an instance out of the zygote of its packages, which has imported them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bentofn.adapters.local.engines.base import EngineRefused, InstanceSpec, Launch, Log
from bentofn.adapters.local.engines.parent import ParentGoneError
from bentofn.adapters.local.engines.plain import stop_all
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.zygotes import Packages, Zygote, Zygotes
from bentofn.adapters.local.isolation.policy import UNLIMITED, Isolation


class ZygoteEngine:
    """The engine ``zygote``: the packages are imported, the rest happens in every instance.

    Args:
        packages: What the bento shares with others; with the root, the interpreter and so on.
        zygotes: The platform's.
        root: The bento's root.
        python: The interpreter.
        env: The environment of every instance; nothing is inherited from the platform.
        sockets: A short directory, only its owner's, for the instances' sockets.
        log: Called with an instance's id, the stream and a line.
        isolation: What holds the instances to their limits and keeps them apart.
    """

    name = "zygote"

    def __init__(
        self,
        packages: Packages,
        zygotes: Zygotes,
        root: Path,
        python: Path,
        env: Mapping[str, str],
        sockets: Path,
        log: Log,
        isolation: Isolation = UNLIMITED,
    ) -> None:
        self._packages = packages
        self._zygotes = zygotes
        self._launch = Launch(root, python, env, sockets, log, isolation)
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
