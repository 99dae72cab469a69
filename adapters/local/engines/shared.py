"""What all functions of one platform have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bentofn.adapters.local.clock import Clock, SystemClock
from bentofn.adapters.local.engines.checkpointed.dormitory import Dormitory
from bentofn.adapters.local.engines.forked.zygotes import Zygotes, ZygoteStatus
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.gpu.gpus import Gpus
from bentofn.adapters.local.journal.journal import Journal

if TYPE_CHECKING:
    from bentofn.adapters.local.testing.faults import Faults


@dataclass(frozen=True)
class Shared:
    """What the platform makes once.

    Args:
        zygotes: Processes with an environment's packages imported.
        restorer: Restores snapshots.
        kept_zygotes: The same processes as snapshots, where they can be restored.
        clock: Its time.
        journal: Is told what happens.
        faults: What goes wrong on purpose, on a platform for tests.
        dormitory: Instances that sleep, their GPU memory in host memory.
        gpus: The machine's GPUs, on which functions take turns.
    """

    zygotes: Zygotes
    restorer: Restorer
    kept_zygotes: KeptZygotes
    clock: Clock = field(default_factory=SystemClock)
    journal: Journal = field(default_factory=Journal)
    faults: Faults | None = None
    dormitory: Dormitory = field(default_factory=Dormitory)
    gpus: Gpus = field(init=False)

    def __post_init__(self) -> None:
        """The GPUs are asked for by who takes memory off them."""
        object.__setattr__(self, "gpus", Gpus(self.clock, self.dormitory))

    def zygote_status(self) -> list[ZygoteStatus]:
        """Those that can be started from, and those that have instances."""
        kept = [
            ZygoteStatus(
                pid=None,
                packages=each.packages.packages,
                instances=len(each.instances),
                memory=0,
                snapshot=each.snapshot.id,
            )
            for each in self.kept_zygotes.living()
        ]
        return [*kept, *self.zygotes.status()]

    async def close(self) -> None:
        """Stop what runs; the functions were stopped before."""
        self.gpus.close()
        await self.dormitory.close()
        await self.kept_zygotes.close()
        await self.zygotes.close()
        await self.restorer.close()
