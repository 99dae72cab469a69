"""From nothing running to the first correct answer: every way to start, and our peers, in turn.

Functions are asked through the local platform's URL by a caller outside of it, who takes the time
from connecting to the whole, checked answer; each is at zero before. What stock CRIU does is taken
beside it on one process, without the platform. Needs root and a fit CRIU (``bentofn doctor``).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoml_serve import BentoMLServe
from burst import bursts
from deployed import Deployed, Deployer
from engines import first_replies
from eviction import evict, sequential_read, write_file
from functions import ECHO, EMBEDDINGS, PUBLIC_KIND, stack
from images import Images
from services import Subject
from table import Row, Table, arguments, ratios
from today import install_bentoml, write_stock_project

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.engines import find_python
from bentofn.adapters.local.environment import INHERITED
from bentofn.adapters.protocol import Snapshot
from bentofn.commands.tour import wait_for_zero
from bentofn.packager.home import Home
from bentofn.packager.modelstore import local_path
from bentofn.packager.snapshot.criu.binary import find_criu
from bentofn.packager.snapshot.criu.hot import HotSet, load_hot_set
from bentofn.packager.snapshot.obtain import Subject as Snapshotted
from bentofn.packager.snapshot.store import SnapshotStore

CLONES = 50


@dataclass(frozen=True)
class Bench:
    """What every case needs.

    Args:
        deployer: Builds and deploys.
        table: Takes the rows.
        rounds: Samples of each arm.
        folder: Scratch.
    """

    deployer: Deployer
    table: Table
    rounds: int
    folder: Path

    def add(
        self, case: str, who: str, unit: str, values: list[float], goal: str | None = None
    ) -> None:
        """Add a row of times or ratios."""
        metric = {"ms": "first reply", "x": "times sooner"}.get(unit, "")
        self.table.add(Row(case, who, metric, unit, values, goal))

    def bento(self, subject: Subject) -> LocalBento:
        """A subject's bento."""
        return resolve_bento(self.deployer.home, self.deployer.build(subject))

    def snapshotted(self, subject: Subject) -> Snapshotted:
        """What a snapshot of a subject is taken of when nothing but the bento says how."""
        bento = self.bento(subject)
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        env |= {**bento.manifest.envs, "BENTOFN_ROOT": str(bento.root.path)}
        python = find_python(bento.manifest.python)
        return Snapshotted(
            bento.tag, bento.digest, bento.root.path, python, env, bento.manifest.envs
        )


def compare_starts(
    bench: Bench, subject: Subject, goal: str | None = None, sooner: str | None = None
) -> Any:
    """Measure a function's start with every engine; gives its right answer."""
    arms: dict[str, Deployed] = {}
    ways: tuple[Snapshot, ...] = ("none", "template", "criu")
    for snapshot in ways:
        arms[snapshot] = bench.deployer.deploy(subject, snapshot)
    truth = arms["none"].ask().value
    samples: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(bench.rounds):
        for name, function in arms.items():
            start = "cold" if name == "none" else "restored"
            samples[name].append(function.first_reply(truth, start))
    case = subject.name
    bench.add(case, "plain start", "ms", samples["none"])
    bench.add(case, "template", "ms", samples["template"])
    bench.add(case, "criu", "ms", samples["criu"], goal)
    bench.add(case, "criu : plain", "x", ratios(samples["none"], samples["criu"]), sooner)
    for function in arms.values():
        function.remove()
    return truth


def compare_stock(bench: Bench, subject: Subject, truth: Any, goal: str) -> None:
    """Measure stock ``criu restore`` and ours on one process."""
    of = bench.snapshotted(subject)
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        images = Images.take(find_criu(), of, Path(folder), subject)
        images.rewritten(truth)
        stock, ours = [], []
        for _ in range(bench.rounds):
            stock.append(images.stock(truth))
            ours.append(images.rewritten(truth))
    case = f"{subject.name}, the process alone"
    bench.add(case, "criu restore", "ms", stock)
    bench.add(case, "bentofn", "ms", ours, goal)
    bench.add(case, "bentofn : criu restore", "x", ratios(stock, ours), ">= 4")


def compare_bentoml(bench: Bench, truth: Any) -> None:
    """Measure stock BentoML's cold start of the embeddings example beside ours."""
    project = bench.folder / EMBEDDINGS.name
    stock = bench.folder / "stock"
    write_stock_project(project, stock)
    (stock / "model").symlink_to(local_path(EMBEDDINGS.model, bench.deployer.home)[2])
    packages = ("torch==2.13.0", "safetensors", "tokenizers", "numpy")
    program = install_bentoml(bench.folder / "venv", packages)
    peer = BentoMLServe(program, stock, EMBEDDINGS, bench.folder / "bentoml")
    ours = bench.deployer.deploy(EMBEDDINGS, "criu")
    peer.first_reply(truth)
    theirs_ms, ours_ms = [], []
    for _ in range(bench.rounds):
        theirs_ms.append(peer.first_reply(truth))
        ours_ms.append(ours.first_reply(truth, "restored"))
    bench.add(EMBEDDINGS.name, "bentoml serve", "ms", theirs_ms)
    bench.add(EMBEDDINGS.name, "criu, beside it", "ms", ours_ms)
    bench.add(EMBEDDINGS.name, "criu : bentoml serve", "x", ratios(theirs_ms, ours_ms), ">= 70")
    warm = [reply.milliseconds for reply in (ours.ask() for _ in range(bench.rounds + 1))][1:]
    bench.add(f"{EMBEDDINGS.name}, warm", "bentofn", "ms", warm)
    ours.remove()


def compare_engines(bench: Bench, subject: Subject) -> None:
    """Measure every engine on one bento, without the platform."""
    store = SnapshotStore(bench.deployer.home)
    found = asyncio.run(
        first_replies(store, bench.bento(subject), bench.snapshotted(subject), bench.rounds)
    )
    for engine, milliseconds in found.items():
        bench.add(f"{subject.name}, the process alone", engine, "ms", milliseconds)


def start_many(bench: Bench, subject: Subject, truth: Any) -> None:
    """Measure many instances that start at once."""
    store = SnapshotStore(bench.deployer.home)
    of = bench.snapshotted(subject)
    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:
        found = asyncio.run(bursts(store, of, subject, truth, Path(sockets), CLONES, bench.rounds))
    case = f"{subject.name}, {CLONES} at once"
    last = [burst.last_seconds for burst in found]
    private = [each for burst in found for each in burst.private_megabytes]
    bench.table.add(Row(case, "criu", "last first reply", "s", last, "<= 1.5"))
    bench.table.add(Row(case, "criu", "private memory of each", "MB", private, "<= 12"))


def start_evicted(bench: Bench, subject: Subject, truth: Any) -> None:
    """Measure a start whose snapshot is on disk only."""
    function = bench.deployer.deploy(subject, "criu")
    function.first_reply(truth, "restored")
    tag = bench.deployer.build(subject)
    kept = SnapshotStore(bench.deployer.home).list()
    snapshot = next(each for each in kept if each.origin.bento == tag)
    hot = load_hot_set(snapshot.path)
    if hot is None:
        raise SystemExit("the snapshot has no hot set")
    inside = [file for file in hot.files if file.path.is_relative_to(snapshot.path)]
    probe = bench.folder / "sequential"
    write_file(probe, HotSet(tuple(inside)).size)
    evicted, read = [], []
    for _ in range(bench.rounds):
        read.append(sequential_read(probe))
        wait_for_zero(function.adapter, function.name)  # nothing maps the files any more
        evict(path for path in snapshot.images.iterdir() if path.is_file())
        evicted.append(function.first_reply(truth, "restored"))
    over = [start - sequential for start, sequential in zip(evicted, read, strict=True)]
    case = f"{subject.name}, evicted"
    bench.add(case, "criu", "ms", evicted)
    bench.table.add(Row(case, "sequential read of its hot set", "wall", "ms", read))
    bench.table.add(Row(case, "criu", "beyond that read", "ms", over, "<= 100"))
    function.remove()


def measure(bench: Bench) -> None:
    """All cases."""
    truths = {}
    for subject, goal in ((stack(100), "<= 40"), (stack(400), "<= 60")):
        truths[subject.name] = compare_starts(bench, subject, goal)
        compare_stock(bench, subject, truths[subject.name], goal)
    compare_starts(bench, ECHO, "<= 20")
    compare_engines(bench, ECHO)
    small = stack(100)
    start_many(bench, small, truths[small.name])
    start_evicted(bench, small, truths[small.name])
    for subject in PUBLIC_KIND:
        compare_starts(bench, subject, sooner=">= 15")
    truth = compare_starts(bench, EMBEDDINGS, "<= 80")
    compare_engines(bench, EMBEDDINGS)
    compare_bentoml(bench, truth)


def main() -> None:
    """Measure in a home of its own and write the table."""
    options = arguments(__doc__)
    table = Table("cold_start", ("torch", "uvicorn", "uvloop", "bentoml"))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(os.environ.get("BENTOFN_BENCH_HOME", f"{folder}/home")))
        deployer = Deployer(home, LocalAdapter(home, port=0), Path(folder))
        try:
            measure(Bench(deployer, table, 5 if options.quick else 9, Path(folder)))
        finally:
            daemon.stop(home)
    table.write(options.json)


if __name__ == "__main__":
    main()
