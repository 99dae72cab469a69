"""Serving: throughput, latency, plain cold start and idle memory, ours and our peers', in turn.

W1 is an MLP (768-1024-1024-10, JSON, one torch thread, batchable), W2 the embeddings example, W3 an
echo of a small document. In each round every peer is started anew on the first core, asked, weighed
and put under load by ``wrk`` from the second one, at 1, 16 and 64 connections. The peers' newest
versions are installed once (``serving/environments.py`` says where); their services stand in
``serving/apps``. Needs wrk and taskset.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services import report
from serving import workloads
from serving.environments import environment, versions
from serving.load import put, write_script
from serving.peers import EXAMPLE, ONE_THREAD, PEERS, Contender, contenders, ours
from serving.processes import serving
from serving.workloads import Workload
from table import Row, Table, ratios

from bentofn.packager.home import Home
from bentofn.packager.modelstore import local_path

CONNECTIONS = (1, 16, 64)
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


@dataclass
class Samples:
    """What was measured of one workload: metric to contender to one value a round."""

    rates: dict[int, dict[str, list[float]]] = field(default_factory=lambda: _each(CONNECTIONS))
    p99s: dict[int, dict[str, list[float]]] = field(default_factory=lambda: _each(CONNECTIONS))
    refused: dict[int, dict[str, list[float]]] = field(default_factory=lambda: _each(CONNECTIONS))
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    floor: list[float] = field(default_factory=list)


def _each(connections: Sequence[int]) -> dict[int, dict[str, list[float]]]:
    return {count: defaultdict(list) for count in connections}


@dataclass(frozen=True)
class Bench:
    """What every workload needs.

    Args:
        home: Where ours is built.
        folder: Scratch.
        rounds: Samples of each figure.
        seconds: Of load, for each number of connections.
        cores: The server's and wrk's.
        only: Names of contenders to leave the others out, or none.
    """

    home: Home
    folder: Path
    rounds: int
    seconds: float
    cores: tuple[int, int]
    only: Sequence[str]

    def takes(self, name: str) -> bool:
        """Whether a contender is measured."""
        return not self.only or name == AIM or any(name.startswith(each) for each in self.only)

    def contenders(self, workload: Workload) -> list[Contender]:
        """Everybody who serves a workload, ours first."""
        found = [ours(workload, self.home, self.folder)]
        for peer in PEERS:
            if self.takes(peer.name):
                found += contenders(peer, workload, self.home, self.folder)
        return found

    def measure(self, workload: Workload) -> Samples:
        """Measure everybody, in turn, round by round."""
        samples = Samples()
        everybody = self.contenders(workload)
        for contender in everybody:
            self._start(workload, contender, Samples())  # writes bytecode, fills the page cache
        for number in range(self.rounds):
            for contender in everybody:
                report(f"{workload.case}, round {number + 1} of {self.rounds}: {contender.name}")
                self._start(workload, contender, samples, loaded=True)
            if workload.name == "mlp":
                samples.floor.append(self._torch_and_weights(workload))
        return samples

    def _start(
        self, workload: Workload, contender: Contender, samples: Samples, loaded: bool = False
    ) -> None:
        server_core, load_core = self.cores
        requests = workload.requests(contender.route, contender.batches)
        with serving(
            contender.command,
            contender.environment,
            contender.folder,
            server_core,
            requests[0],
        ) as server:
            samples.starts[contender.name].append(server.first_answer)
            samples.memory[contender.name].append(server.proportional_megabytes())
            server.check(requests)
            if not loaded:
                return
            script = self.folder / "load.lua"
            write_script(script, requests[0].route, [each.body for each in requests])
            for count in CONNECTIONS:
                load = put(server.port, script, count, self.seconds, load_core)
                samples.rates[count][contender.name].append(load.rate)
                samples.p99s[count][contender.name].append(load.p99)
                samples.refused[count][contender.name].append(load.refused * 100)
            server.check(requests)

    def _torch_and_weights(self, workload: Workload) -> float:
        python = str(environment("fastapi", (), self.home))
        weights = local_path(str(workload.model), self.home)[2]
        command = ["taskset", "-c", str(self.cores[0]), python, "-c", _TORCH, str(weights)]
        done = subprocess.run(
            command, env={**os.environ, **ONE_THREAD}, check=True, capture_output=True, text=True
        )
        return float(done.stdout)


def add_rows(table: Table, workload: Workload, samples: Samples) -> None:
    """Write one workload's rows, and how ours compares."""
    for count in CONNECTIONS:
        case = f"{workload.case}, {count} at once"
        for name, rates in samples.rates[count].items():
            table.add(Row(case, name, "throughput", "1/s", rates))
            table.add(Row(case, name, "p99", "ms", samples.p99s[count][name]))
            refused = samples.refused[count][name]
            if any(refused):
                table.add(Row(case, name, "refused", "%", refused))
        _compare(table, case, "throughput", samples.rates[count], ">= 1.0", more=True)
        _compare(table, case, "p99", samples.p99s[count], ">= 1.0", more=False)
    for metric, unit, values in (
        ("cold start", "ms", samples.starts),
        ("idle memory", "MB", samples.memory),
    ):
        for name, each in values.items():
            table.add(Row(workload.case, name, metric, unit, each))
    if workload.name == "mlp":
        _compare(table, workload.case, "idle memory", samples.memory, ">= 1.0", more=False)
        table.add(Row(workload.case, "torch and weights", "import", "ms", samples.floor))
        over = ratios(samples.starts[AIM], samples.floor)
        table.add(Row(workload.case, "bentofn : torch and weights", "start", "x", over, "<= 1.15"))
    if workload.name == "echo" and STOCK in samples.starts:
        share = ratios(samples.starts[AIM], samples.starts[STOCK])
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
    parser.add_argument("--json", type=Path, help="write the table here")
    options = parser.parse_args()
    chosen = [each for each in options.only.split(",") if each]
    wanted = [each for each in chosen if each in ("W1", "W2", "W3")] or ["W1", "W2", "W3"]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the server, one for wrk")
    os.sched_setaffinity(0, {cores[1]})
    table = Table("serving", ("torch", "uvicorn", "uvloop", "pydantic"))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(os.environ.get("BENTOFN_BENCH_HOME", f"{folder}/home")))
        rounds, seconds = (1, 1.0) if options.quick else (5, 4.0)
        names = [each for each in chosen if each not in wanted]
        bench = Bench(home, Path(folder), rounds, seconds, (cores[0], cores[1]), names)
        makers = {
            "W1": lambda: workloads.mlp(home),
            "W2": lambda: workloads.embeddings(home, encode),
            "W3": workloads.echo,
        }
        for name in wanted:
            workload = makers[name]()
            add_rows(table, workload, bench.measure(workload))
        for peer in PEERS:
            if bench.takes(peer.name):
                python = environment(peer.name, peer.distributions, home)
                table.others |= versions(python, peer.distributions)
    table.write(options.json)


if __name__ == "__main__":
    main()
