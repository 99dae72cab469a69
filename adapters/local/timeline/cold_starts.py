"""Cold starts of a function as the platform would do them, restored beside plain."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bentofn.adapters.local.bench import (
    GRACE,
    Arm,
    Question,
    Starter,
    compare,
    first_reply,
    stop,
)
from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.engines import Instance, StartFailed
from bentofn.adapters.local.engines.forked.zygotes import Zygotes
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.environment import thread_count
from bentofn.adapters.local.isolation.cells import Cells
from bentofn.adapters.local.isolation.limits import Limits
from bentofn.adapters.local.isolation.policy import Isolation, private_paths
from bentofn.adapters.local.launcher import Launcher
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.secrets import with_values
from bentofn.adapters.local.state import State
from bentofn.adapters.local.timeline.timeline import Telling, Timeline
from bentofn.adapters.protocol import FunctionSpec, Snapshot
from bentofn.adapters.secret import secret_values
from bentofn.packager.home import Home
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.errors import UserError
from bentofn.runtime.state import VARIABLE

PLAIN = "plain"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Args:
        bento: Whose starts.
        path: What was asked.
        arms: By the kind of start; ``plain`` is the first.
        traced: One more start of each kind, with each import told of; none where nobody asked.
        note: Why a faster kind is not among them; empty if it is.
    """

    bento: str
    path: str
    arms: Mapping[str, Arm]
    traced: Sequence[Timeline]
    note: str


def spec_of(home: Home, name: str | None, snapshot: Snapshot | None) -> FunctionSpec:
    """The function that a command line means.

    Args:
        home: Whose.
        name: A deployed function's, or a bento's; None for the only function that is deployed.
        snapshot: In place of the function's own setting.

    Raises:
        UserError: It cannot be told which one.
    """
    deployed = {each.spec.name: each.spec for each in State(home).live()}
    if name is None and len(deployed) != 1:
        raise UserError(
            f"Name a function or a bento; deployed: {', '.join(sorted(deployed)) or 'none'}."
        )
    spec = next(iter(deployed.values())) if name is None else deployed.get(name)
    if spec is None:
        assert name is not None
        spec = FunctionSpec(name.partition(":")[0], name)
    settings = dataclasses.replace(spec.settings, snapshot=snapshot or spec.settings.snapshot)
    return dataclasses.replace(spec, settings=settings)


async def measure(
    home: Home, spec: FunctionSpec, rounds: int, report: Report, *, traced: bool
) -> Measured:
    """Start a function plainly and in its fastest way, in turn, each to the first whole reply.

    Args:
        home: Whose.
        spec: The function. Of several services of a bento only the entry is started.
        rounds: How often.
        report: Told each step.
        traced: Whether one more start of each kind is told of import by import.

    Raises:
        UserError: It does not start, or answers differently from start to start.
    """
    bento = resolve_bento(home, spec.bento)
    spec = with_values(spec, secret_values(spec.settings.secrets))
    question = Question.of(bento.manifest)
    with TemporaryDirectory(prefix="bentofn-bench-") as name:
        folder = Path(name)
        async with _starters(home, spec, bento, folder, report) as (starters, note):
            report(f"Starting {bento.tag} {rounds} times: {' and '.join(starters)}")
            arms = await compare(starters, question, rounds, folder)
            timelines = []
            for kind, starter in starters.items() if traced else ():
                telling = Telling(kind, folder / f"{kind}.stages", imports=True)
                timeline, _ = await first_reply(starter, f"traced-{kind}", question, telling)
                timelines.append(timeline)
    return Measured(bento.tag, question.path, arms, timelines, note)


@contextlib.asynccontextmanager
async def _starters(
    home: Home, spec: FunctionSpec, bento: LocalBento, folder: Path, report: Report
) -> AsyncIterator[tuple[dict[str, Starter], str]]:
    restorer = Restorer(SnapshotStore(home))
    shared = Shared(Zygotes(report), restorer, KeptZygotes(restorer, report))
    plainly = dataclasses.replace(spec.settings, snapshot="none")
    plain = _launcher(home, dataclasses.replace(spec, settings=plainly), bento, folder, shared)
    launcher = _launcher(home, spec, bento, folder, shared)
    # What they would keep, such as rows of monitors, goes with the folder.
    also = {VARIABLE: os.fspath(folder / "state")}
    starters = {PLAIN: _starter(plain, spec, bento, also)}
    try:
        if spec.settings.snapshot != "none":
            report(f"Preparing what {bento.tag} starts from")
            if launcher.turns is not None:
                # What it has on a GPU is known when it is there, and may sleep from then on.
                first, _ = await launcher.launch("bench", thread_count(spec, bento), also)
                await launcher.stop(first, GRACE, keep=True)
            if (preparation := launcher.prepare()) is not None:
                await preparation
            if launcher.snapshot != "none":
                starters[launcher.snapshot] = _starter(launcher, spec, bento, also)
        yield starters, launcher.note
    finally:
        await launcher.close()
        await plain.close()
        await shared.close()


def _launcher(
    home: Home, spec: FunctionSpec, bento: LocalBento, folder: Path, shared: Shared
) -> Launcher:
    sockets = folder / spec.settings.snapshot
    isolation = Isolation(Cells({}, Limits()), (sockets, *private_paths(home)))
    log = LogWriter(folder / "log.jsonl")
    timeout = profile_of(spec.settings).timeouts.start
    return Launcher(spec, bento, timeout, sockets, isolation, log, shared)


def _starter(
    launcher: Launcher, spec: FunctionSpec, bento: LocalBento, also: Mapping[str, str]
) -> Starter:
    threads = thread_count(spec, bento)
    restores = launcher.snapshot != "none"
    sleeps = launcher.snapshot == "checkpointed"

    async def start(name: str, variables: Mapping[str, str]) -> Instance:
        try:
            instance, kind = await launcher.launch(name, threads, {**also, **variables})
        except StartFailed as error:
            raise UserError(f"{bento.tag} does not start: {str(error).rstrip('.')}.") from error
        if restores and kind != "restored":
            await instance.stop(0.0)
            raise UserError(f"{bento.tag} was not restored: {launcher.note or 'it started anew'}.")
        return instance

    async def sleep(instance: Instance) -> None:
        await launcher.stop(instance, GRACE, keep=True)

    return Starter(start, sleep if sleeps else stop)
