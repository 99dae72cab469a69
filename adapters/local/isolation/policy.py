"""How the instances of one function are kept within limits and apart."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.isolation.cells import Cell, Cells, Confinement
from bentofn.adapters.local.isolation.limits import Limits
from bentofn.packager.files import make_directory
from bentofn.packager.home import Home


def confinement_of(home: Home) -> Confinement:
    """The control groups of a home's platform."""
    digest = hashlib.sha256(os.fsencode(home.path.resolve())).hexdigest()[:12]
    return Confinement(f"bentofn-{digest}", groups_record(home))


def groups_record(home: Home) -> Path:
    """Where a home's platform writes down the control groups that it makes."""
    return home.run / "cgroups.json"


def private_paths(home: Home) -> tuple[Path, ...]:
    """What of a home is no service's business: others' secrets, requests and memory, the token.

    All of it is there afterwards: what is not cannot be hidden.

    Raises:
        UserError: The home cannot be written.
    """
    directories = (
        home.run,
        home.logs,
        home.snapshots,
        home.invocations,
        home.tasks,
        home.schedules,
    )
    for directory in directories:
        make_directory(directory, 0o700)
    home.deployments_db.touch(mode=0o600)
    return (*directories, home.deployments_db)


@dataclass(frozen=True)
class Isolation:
    """What an engine does for the isolation of each instance.

    Args:
        cells: Makes the cells that hold the instances to their limits.
        hidden: Files and directories that they are not to see.
    """

    cells: Cells
    hidden: tuple[Path, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The variable that tells a process to keep apart (``bentofn.runtime.namespaces``)."""
        return {"BENTOFN_HIDDEN": os.pathsep.join(map(str, self.hidden))}


UNLIMITED = Isolation(Cells({}, Limits()))
"""Instances apart from each other, with no limits."""


class Tenancy:
    """The stay of one instance in its cell.

    Args:
        cell: Its cell; None where it has no limits.
    """

    def __init__(self, cell: Cell | None) -> None:
        self._cell = cell
        self._moving: asyncio.Task[None] | None = None
        self.verdict = ""

    def begin(self, pid: int, warn: Callable[[str], None]) -> None:
        """Have a process moved into the cell, which nobody waits for.

        Args:
            pid: The process.
            warn: Called with a sentence if it cannot be moved.
        """
        if self._cell is not None:
            self._moving = asyncio.create_task(self._move(self._cell, pid, warn))

    async def settled(self) -> None:
        """Wait until the process has been moved."""
        if self._moving is not None:
            await asyncio.wait([self._moving])

    def serves(self) -> None:
        """The instance has started: it is held to its CPU share from now on."""
        if self._cell is not None:
            with contextlib.suppress(OSError):  # it is ending
                self._cell.throttle()

    async def end(self) -> None:
        """The instance has ended: learn whether its limits did it, and remove the cell."""
        if self._cell is None:
            return
        if self._moving is not None:
            await self._moving
        self.verdict = self._cell.verdict()
        await asyncio.to_thread(self._cell.remove)

    async def _move(self, cell: Cell, pid: int, warn: Callable[[str], None]) -> None:
        try:
            await asyncio.to_thread(cell.enter, pid)
        except ProcessLookupError:
            return  # it has ended
        except OSError as error:
            warn(f"it is not held to its limits: {error.strerror}")
