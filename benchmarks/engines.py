"""Every engine in turn on one bento, without the platform around it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bentofn.adapters.local.bench import Question, Starter, compare
from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.engines import (
    CriuEngine,
    Engine,
    Instance,
    InstanceSpec,
    Launch,
    PlainEngine,
    Restorer,
    TemplateEngine,
)
from bentofn.adapters.local.engines.forked.zygote import ZygoteEngine
from bentofn.adapters.local.engines.forked.zygotes import Zygotes
from bentofn.packager.snapshot.obtain import Subject
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.zygote import Packages

TIMEOUT = 120.0


async def first_replies(
    store: SnapshotStore, bento: LocalBento, subject: Subject, rounds: int
) -> dict[str, list[float]]:
    """Milliseconds from a start's beginning to its first reply, by engine.

    Args:
        store: Where the snapshot is kept.
        bento: Asked its first example.
        subject: The same bento, with what its processes are started with.
        rounds: Samples of each.
    """

    def quiet(*line: str) -> None:
        """Drop what the processes print."""

    restorer, zygotes = Restorer(store), Zygotes(quiet)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        launch = Launch(subject.root, subject.python, subject.env, Path(folder), quiet)
        packages = Packages(bento.packages, bento.root.runtime.resolve(), launch.python.resolve())
        engines: dict[str, Engine] = {
            "plain": PlainEngine(launch),
            "zygote": ZygoteEngine(packages, zygotes, launch),
            "template": TemplateEngine(launch),
            "criu": CriuEngine(launch, subject, restorer, TIMEOUT),
        }
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(zygotes.close)
            closing.push_async_callback(restorer.close)
            for engine in engines.values():
                closing.push_async_callback(engine.close)
                await engine.prepare()
            starters = {name: starter(engine) for name, engine in engines.items()}
            arms = await compare(starters, Question.of(bento.manifest), rounds, Path(folder))
    return {name: [1000 * each for each in arm.seconds] for name, arm in arms.items()}


def starter(engine: Engine) -> Starter:
    """Starts instances of one compute thread with an engine that is prepared."""

    async def start(name: str, _: Mapping[str, str]) -> Instance:
        instance = await engine.start(InstanceSpec(name))  # not told of: that takes time too
        await instance.ready()
        return instance

    return Starter(start)
