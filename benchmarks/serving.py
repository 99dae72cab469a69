"""Serving: throughput, latency, plain cold start and idle memory, ours and our peers', in turn.

W1 is an MLP (768-1024-1024-10, JSON, one torch thread, batchable), W2 the embeddings example, W3 an
echo of a small document. In each round every peer is started anew on the first core, asked, weighed
and put under load by ``wrk`` from the second one, at 1, 16 and 64 connections. The peers' newest
versions are installed once (``serving/peers.py`` says where); their services stand in
``serving/apps``. Needs wrk and taskset.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import report
from serving import workloads
from serving.environments import versions
from serving.load import put, write_script
from serving.peers import (
    EXAMPLE,
    ONE_THREAD,
    PEERS,
    Contender,
    contenders,
    our_python,
    ours,
    peer_python,
)
from serving.processes import Request, Server, forget, serving
from serving.record import Record, Sample
from serving.workloads import Workload
from table import Row, Table, ratios

from bentofn.packager.home import Home
from bentofn.packager.modelstore import local_path

AIM = "bentofn"
STOCK = "bentoml"
_TORCH = """
import sys, time
began = time.perf_counter()
import torch
from safetensors.torch import load_file
load_file(sys.argv[1] + "/model.safetensors")
print((time.perf_counter() - began) * 1000)
"""

FLOOR = "torch and weights"
"""What stands for a contender that only imports torch and loads the weights."""


@dataclass(frozen=True)
class Bench:
    """What every workload needs.

    Args:
        home: Where ours is built.
        python: The interpreter that ours is installed for.
        folder: Scratch.
        record: The samples.
        rounds: Samples of each figure.
        seconds: Of load, for each number of connections.
        counts: Numbers of connections.
        cores: The server's and wrk's.
        only: Names of contenders to leave the others out, or none.
    """

    home: Home
    python: Path
    folder: Path
    record: Record
    rounds: int
    seconds: float
    counts: Sequence[int]
    cores: tuple[int, int]
    only: Sequence[str]

    def takes(self, name: str) -> bool:
        """Whether a contender is measured."""
        return not self.only or name == AIM or any(name.startswith(each) for each in self.only)

    def measure(self, workload: Workload) -> None:
        """Measure everybody, in turn, round by round, except for what the record has."""
        everybody = self._contenders(workload)
        left = [each for each in everybody if self._lacks(workload, each.name)]
        for contender in left:
            self._start(workload, contender, None)  # writes bytecode, fills the page cache
        for number in range(self.rounds):
            for contender in left:
                if not self.record.has(workload.name, contender.name, number, self.counts):
                    report(f"{workload.case}, round {number + 1}: {contender.name}")
                    self._start(workload, contender, number)
            if workload.name == "mlp" and not self.record.has(workload.name, FLOOR, number, ()):
                milliseconds = self._torch_and_weights(workload)
                self.record.add(Sample(workload.name, FLOOR, number, milliseconds))
        for contender in everybody:
            self._weigh(workload, contender)

    def _contenders(self, workload: Workload) -> list[Contender]:
        """Everybody who serves a workload, ours first."""
        found = [ours(workload, self.home, self.folder, self.python)]
        for peer in PEERS:
            if self.takes(peer.name):
                found += contenders(peer, workload, self.home, self.folder)
        return found

    def _lacks(self, workload: Workload, name: str) -> bool:
        return not all(
            self.record.has(workload.name, name, number, self.counts)
            for number in range(self.rounds)
        )

    def _start(self, workload: Workload, contender: Contender, number: int | None) -> None:
        requests = workload.requests(contender.route, contender.batches)
        with self._serving(contender, requests[0]) as server:
            server.check(requests)
            if number is None:
                return
            script = self.folder / "load.lua"
            write_script(script, requests[0].route, [each.body for each in requests])
            loads = {
                count: put(server.port, script, count, self.seconds, self.cores[1])
                for count in self.counts
            }
            server.check(requests)
        sample = Sample(workload.name, contender.name, number, server.first_answer, loads=loads)
        self.record.add(sample)

    def _weigh(self, workload: Workload, contender: Contender) -> None:
        """Take the memory of idle servers, after the rounds: it leaves the page cache changed."""
        request = workload.requests(contender.route, contender.batches)[0]
        files: set[Path] = set()
        for number in range(self.rounds):
            if self.record.is_weighed(workload.name, contender.name, number):
                continue
            report(f"{workload.case}, memory {number + 1}: {contender.name}")
            files = files or self._files(contender, request)
            forget(files)
            with self._serving(contender, request) as server:
                megabytes = server.proportional_megabytes()
            self.record.weighed(workload.name, contender.name, number, megabytes)

    def _files(self, contender: Contender, request: Request) -> set[Path]:
        with self._serving(contender, request) as server:
            return server.mapped_files()

    def _serving(
        self, contender: Contender, request: Request
    ) -> contextlib.AbstractContextManager[Server]:
        return serving(
            contender.command, contender.environment, contender.folder, self.cores[0], request
        )

    def _torch_and_weights(self, workload: Workload) -> float:
        fastapi = next(peer for peer in PEERS if peer.name == "fastapi")
        python = str(peer_python(fastapi, self.home))
        weights = local_path(str(workload.model), self.home)[2]
        command = ["taskset", "-c", str(self.cores[0]), python, "-c", _TORCH, str(weights)]
        done = subprocess.run(
            command, env={**os.environ, **ONE_THREAD}, check=True, capture_output=True, text=True
        )
        return float(done.stdout)


def add_rows(table: Table, workload: Workload, bench: Bench) -> None:
    """Write one workload's rows, and how ours compares."""
    samples = bench.record.of(workload.name, bench.rounds)
    floor = [each.first_answer for each in samples.pop(FLOOR, [])]
    samples = {name: each for name, each in samples.items() if bench.takes(name)}
    for count in bench.counts:
        case = f"{workload.case}, {count} at once"
        loads = {name: [one.loads[count] for one in each] for name, each in samples.items()}
        rates = {name: [load.rate for load in each] for name, each in loads.items()}
        p99s = {name: [load.p99 for load in each] for name, each in loads.items()}
        for name, each in loads.items():
            table.add(Row(case, name, "throughput", "1/s", rates[name]))
            table.add(Row(case, name, "p99", "ms", p99s[name]))
            refused = [load.refused * 100 for load in each]
            if any(refused):
                table.add(Row(case, name, "refused", "%", refused))
        _compare(table, case, "throughput", rates, ">= 1.0", more=True)
        _compare(table, case, "p99", p99s, ">= 1.0", more=False)
    starts = {name: [one.first_answer for one in each] for name, each in samples.items()}
    memory = {name: [one.megabytes for one in each] for name, each in samples.items()}
    for metric, unit, values in (("cold start", "ms", starts), ("idle memory", "MB", memory)):
        for name, figures in values.items():
            table.add(Row(workload.case, name, metric, unit, figures))
    if floor:
        _compare(table, workload.case, "idle memory", memory, ">= 1.0", more=False)
        table.add(Row(workload.case, FLOOR, "import", "ms", floor))
        over = ratios(starts[AIM], floor)
        table.add(Row(workload.case, f"bentofn : {FLOOR}", "start", "x", over, "<= 1.15"))
    if workload.name == "echo" and STOCK in starts:
        share = ratios(starts[AIM], starts[STOCK])
        table.add(Row(workload.case, "bentofn : bentoml", "cold start", "x", share, "<= 0.2"))


def _compare(
    table: Table, case: str, metric: str, values: dict[str, list[float]], goal: str, *, more: bool
) -> None:
    """Add how many times better ours is than the best peer, and BentoML."""

    def add(peer: str, goal: str) -> None:
        pair = (values[AIM], values[peer]) if more else (values[peer], values[AIM])
        table.add(Row(case, f"bentofn : {peer}", f"{metric}, better", "x", ratios(*pair), goal))

    peers = {name: Row(case, name, "", "", each).median for name, each in values.items()}
    del peers[AIM]
    if peers:
        add((max if more else min)(peers, key=peers.__getitem__), goal)
    if STOCK in peers and metric == "throughput":
        add(STOCK, ">= 2.0")


def encode(folder: Path, texts: Sequence[str]) -> Any:
    """Embed texts one by one with the embeddings example's encoder."""
    sys.path.insert(0, str(EXAMPLE))
    from encoder import SentenceEncoder

    encoder = SentenceEncoder(folder)
    return [encoder.encode([text])[0].tolist() for text in texts]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", default="", help="contenders and W1, W2, W3; with commas")
    parser.add_argument("--connections", default="1,16,64", help="numbers of them; with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path, help="keep samples here, and take none twice")
    parser.add_argument("--json", type=Path, help="write the table here")
    options = parser.parse_args()
    chosen = [each for each in options.only.split(",") if each]
    wanted = [each for each in chosen if each in ("W1", "W2", "W3")] or ["W1", "W2", "W3"]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the server, one for wrk")
    os.sched_setaffinity(0, {cores[1]})
    table = Table("serving", ("torch", "uvicorn", "uvloop", "pydantic", "pysimdjson"))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(os.environ.get("BENTOFN_BENCH_HOME", f"{folder}/home")))
        bench = Bench(
            home,
            our_python(home),
            Path(folder),
            Record(options.record),
            1 if options.quick else options.rounds,
            1.0 if options.quick else 2.0,
            [int(each) for each in options.connections.split(",")],
            (cores[0], cores[1]),
            [each for each in chosen if each not in wanted],
        )
        makers = {
            "W1": lambda: workloads.mlp(home),
            "W2": lambda: workloads.embeddings(home, encode),
            "W3": workloads.echo,
        }
        for name in wanted:
            workload = makers[name]()
            bench.measure(workload)
            add_rows(table, workload, bench)
        for peer in PEERS:
            if bench.takes(peer.name):
                python = peer_python(peer, home)
                table.others |= versions(python, peer.distributions)
    table.write(options.json)


if __name__ == "__main__":
    main()
