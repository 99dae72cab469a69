"""What all functions of one platform start instances with."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.adapters.local.engines.forked.zygotes import Zygotes
from bentofn.adapters.local.engines.restored.restorer import Restorer


@dataclass(frozen=True)
class Shared:
    """What the platform makes once.

    Args:
        zygotes: Processes with an environment's packages imported.
        restorer: Restores snapshots.
    """

    zygotes: Zygotes
    restorer: Restorer

    async def close(self) -> None:
        """Stop what runs; the functions were stopped before."""
        await self.zygotes.close()
        await self.restorer.close()
