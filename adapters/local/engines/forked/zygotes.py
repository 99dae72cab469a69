"""The zygotes of a platform: one process for functions that share their packages.

A zygote has imported the packages and nothing of any function, so that every function with these
packages, and with an environment that says the same wherever the packages' modules looked, may
start as a fork of it (see :mod:`bentofn.runtime.zygote`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bentofn.adapters.local.engines.base import EngineRefused, StartFailed
from bentofn.adapters.local.engines.forked.parent import PackageStartsThreads, Parent
from bentofn.adapters.local.engines.output import Output
from bentofn.adapters.local.engines.plain import spawn_command
from bentofn.adapters.local.engines.recent import Recent
from bentofn.adapters.local.engines.restored.patience import Patience
from bentofn.adapters.local.engines.sockets import Wires
from bentofn.adapters.local.environment import fingerprint
from bentofn.packager.snapshot.zygote import ATTEMPTS, Packages, zygote_command
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.protocol import Warmed
from bentofn.runtime.zygote.variables import that_matter

MOST = 2
"""Zygotes that are kept: one of torch holds about 200 MB."""


@dataclass(frozen=True)
class ZygoteStatus:
    """How a zygote stands.

    Args:
        pid: Its process; None where it is kept as a snapshot and nothing runs.
        packages: What it is for.
        instances: How many live that started from it.
        memory: Bytes that it holds, what it shares with its forks included; None where the system
            does not say.
        snapshot: The snapshot that it is kept as; empty where it is a process.
    """

    pid: int | None
    packages: str
    instances: int
    memory: int | None
    snapshot: str = ""


@dataclass(frozen=True)
class Zygote:
    """One zygote that can fork.

    Args:
        packages: What it is for.
        environment: The variables that it was started with.
        read: Those that modules of these packages looked at, in this one or in an earlier.
        tree: Where it imported the packages from.
        parent: Its process.
    """

    packages: Packages
    environment: Mapping[str, str]
    read: frozenset[str]
    tree: Path
    parent: Parent

    def fits(self, packages: Packages, environment: Mapping[str, str]) -> bool:
        """Whether a function with these packages and this environment may start from it."""
        usable = self.parent.alive and self.tree.is_dir()
        same = packages == self.packages and that_matter(environment, self.read) == dict(
            self.environment
        )
        return usable and same


@dataclass
class Zygotes:
    """All zygotes of a platform.

    Args:
        log: Called with lines about them, and what they write.
        most: How many are kept; the least recently used makes room.
    """

    log: Callable[[str], None]
    most: int = MOST
    _living: list[Zygote] = field(default_factory=list)
    _read: dict[Packages, frozenset[str]] = field(default_factory=dict)
    _patiences: Recent[tuple[Packages, str], Patience] = field(
        default_factory=lambda: Recent(Patience)
    )
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def find(self, packages: Packages, environment: Mapping[str, str]) -> Zygote | None:
        """The zygote that a function may start from, if there is one."""
        for zygote in list(self._living):
            if not zygote.parent.alive:
                self._living.remove(zygote)
                self.log(f"zygote {zygote.parent.pid} has ended")
        found = [zygote for zygote in self._living if zygote.fits(packages, environment)]
        return found[0] if found else None

    def use(self, zygote: Zygote) -> None:
        """Take down that a zygote was used: it is the last that makes room for others."""
        if zygote in self._living:
            self._living.remove(zygote)
            self._living.append(zygote)

    async def warm(self, packages: Packages, root: Path, environment: Mapping[str, str]) -> None:
        """Make sure of a zygote for a function, one at a time; again, it does nothing.

        Args:
            packages: The function's.
            root: A bento that has them.
            environment: The function's.

        Raises:
            EngineRefused: These packages cannot be forked.
            StartFailed: It does not start.
        """
        # A task of its own: others may wait for it too, and a function that goes must not end it.
        await asyncio.shield(self._background(self._ensure(packages, root, environment)))

    def status(self) -> list[ZygoteStatus]:
        """Those that live, the last used last."""
        return [
            ZygoteStatus(
                pid=each.parent.pid,
                packages=each.packages.packages,
                instances=each.parent.clones,
                memory=resident_bytes(each.parent.pid),
            )
            for each in self._living
            if each.parent.alive
        ]

    async def close(self) -> None:
        """End all of them, and what they forked."""
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await asyncio.gather(*(zygote.parent.stop() for zygote in self._living))
        self._living.clear()

    async def _ensure(self, packages: Packages, root: Path, environment: Mapping[str, str]) -> None:
        async with self._turn:
            # What its modules look at is known once they are imported, so it may take two.
            for _ in range(ATTEMPTS):
                if self.find(packages, environment) is not None:
                    return
                await self._make(packages, root, environment)

    async def _make(self, packages: Packages, root: Path, environment: Mapping[str, str]) -> None:
        matters = that_matter(environment, self._read.get(packages, frozenset()))
        patience = self._patiences[packages, fingerprint(matters)]
        now = asyncio.get_running_loop().time
        if not patience.allows(now()):
            raise EngineRefused(patience.reason)
        tree = BentoRoot(root).environment.resolve()
        try:
            parent, warmed = await self._spawn(packages, tree, matters)
        except (EngineRefused, StartFailed) as error:
            lasting = isinstance(error, EngineRefused)
            if patience.failed(now(), lasting=lasting, reason=str(error)):
                self.log(f"zygote of {tree.name} is given up: {error}")
            raise
        patience.succeeded()
        read = self._read.get(packages, frozenset()) | frozenset(warmed.read)
        self._read[packages] = read
        self._living.append(Zygote(packages, matters, read, tree, parent))
        self.log(f"zygote {parent.pid} for {tree.name} is ready")
        while len(self._living) > self.most:
            self._retire(self._living.pop(0))

    async def _spawn(
        self, packages: Packages, tree: Path, environment: Mapping[str, str]
    ) -> tuple[Parent, Warmed]:
        without: list[str] = []
        while True:
            parent = await self._start(packages, tree, environment, without)
            try:
                warmed = await parent.ready()
            except PackageStartsThreads as error:
                package = str(error)
                self.log(f"zygote of {tree.name}: {package} starts threads and is left out")
                if package in without or len(without) + 1 >= ATTEMPTS:
                    raise EngineRefused(f"{package} starts threads when it is imported") from error
                without.append(package)
            except BaseException:
                await asyncio.shield(parent.stop())
                raise
            else:
                assert isinstance(warmed, Warmed)
                return parent, warmed

    async def _start(
        self, packages: Packages, tree: Path, environment: Mapping[str, str], without: list[str]
    ) -> Parent:
        command = zygote_command(packages, tree, "--without", ",".join(without))
        wires = Wires.open(None)
        process = await spawn_command(command, environment, wires)
        output = Output("zygote", lambda _, stream, line: self.log(f"zygote, {stream}: {line}"))
        await output.follow(wires)
        return Parent(process, wires.control, output)

    def _retire(self, zygote: Zygote) -> None:
        """End a zygote once what it forked has ended."""

        async def retire() -> None:
            try:
                await zygote.parent.childless()
            finally:
                await zygote.parent.stop()

        self._background(retire())

    def _background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task


def resident_bytes(pid: int) -> int | None:
    """The memory of a process in bytes, files that it maps included."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
