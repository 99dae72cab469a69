"""What the local platform adds to a request, holds at rest, and does with a flood.

The platform, its instances and the load share two cores. Run it where nothing else runs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deployed import Deployer
from flood import flood
from functions import ECHO
from services import report
from serving.load import Load, put, write_script
from table import Row, Table, arguments

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.bentos import resolve_bento
from bentofn.adapters.local.state import State
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.commands.tour import wait_for_zero
from bentofn.packager.home import Home

CONNECTIONS = 16
SECONDS = 2.0
FUNCTIONS = 1_000
FLOOD = 10_000
PROFILES = ("plain", "cloud-run", "runpod", "lambda")
CLIENT = 1
"""The core of the load."""


@contextmanager
def direct(tag: str, home: Home) -> Iterator[int]:
    """The port of the service by itself, without a platform."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "bentofn", "serve", tag, "--port", str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, "BENTOFN_HOME": str(home.path)}, stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"bentofn serve ended with {process.returncode}") from None
                time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()


def measure_share(deployer: Deployer, table: Table, rounds: int) -> None:
    """The platform's share of a warm request, and how many go through it."""
    tag = deployer.build(ECHO)
    settings = FunctionSettings(min_instances=1, max_instances=1)
    url = deployer.adapter.apply(FunctionSpec("warm", tag, settings), report).url
    path, body = ECHO.request
    bodies = [json.dumps(body).encode()]
    through, alone = deployer.folder / "through.lua", deployer.folder / "alone.lua"
    write_script(through, f"warm/{path}", bodies)
    write_script(alone, path, bodies)
    platform = int(url.rpartition(":")[2].partition("/")[0])
    loads: dict[str, list[Load]] = {"through": [], "alone": []}
    with direct(tag, deployer.home) as port:
        put(platform, through, CONNECTIONS, SECONDS, CLIENT)
        put(port, alone, CONNECTIONS, SECONDS, CLIENT)
        for _ in range(rounds):
            loads["through"].append(put(platform, through, CONNECTIONS, SECONDS, CLIENT))
            loads["alone"].append(put(port, alone, CONNECTIONS, SECONDS, CLIENT))
    deployer.adapter.destroy("warm")
    case = f"echo, {CONNECTIONS} at once"
    pairs = list(zip(loads["through"], loads["alone"], strict=True))
    rates = [each.rate for each in loads["through"]]
    table.add(Row(case, "through the platform", "throughput", "1/s", rates, ">= 2000"))
    table.add(Row(case, "alone", "throughput", "1/s", [each.rate for each in loads["alone"]]))
    halves = [with_.p50 - without.p50 for with_, without in pairs]
    tails = [with_.p99 - without.p99 for with_, without in pairs]
    table.add(Row(case, "the platform's share", "p50", "ms", halves, "<= 1"))
    table.add(Row(case, "the platform's share", "p99", "ms", tails, "<= 5"))


def measure_rest(deployer: Deployer, table: Table, rounds: int) -> None:
    """Start and memory of a platform with many functions, all at zero."""
    home = deployer.home
    tag = deployer.build(ECHO)
    digest = str(resolve_bento(home, tag).digest)
    daemon.stop(home)
    state = State(home)
    for number in range(FUNCTIONS):
        state.add(FunctionSpec(f"function-{number}", tag, FunctionSettings()), digest)
    starts, sizes = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        endpoint = daemon.start(home, 0)
        starts.append(time.perf_counter() - began)
        sizes.append(_resident(endpoint.pid))
        daemon.stop(home)
    for number in range(FUNCTIONS):
        state.remove(f"function-{number}")
    case = f"{FUNCTIONS:,} functions at zero"
    table.add(Row(case, "the platform", "start", "s", starts, "<= 2"))
    table.add(Row(case, "the platform", "resident memory", "MB", sizes, "<= 200"))


def measure_flood(deployer: Deployer, table: Table, rounds: int) -> None:
    """A flood on a function at zero: each request is answered or refused by the profile's rule."""
    tag = deployer.build(ECHO)
    path, body = ECHO.request
    for profile in PROFILES:
        settings = FunctionSettings(profile=profile, max_instances=4, idle_timeout=0.5)
        name = f"flooded-{profile}"
        url = deployer.adapter.apply(FunctionSpec(name, tag, settings), report).url
        answered, refused, lost, seconds = [], [], [], []
        for _ in range(rounds):
            wait_for_zero(deployer.adapter, name)
            outcome = flood(url, path, json.dumps(body).encode(), FLOOD)
            print(f"# {profile}: {dict(outcome.statuses)}, sent in {outcome.sent:.2f} s")
            good = outcome.statuses[200]
            ruled = outcome.statuses[429] + outcome.statuses[503]
            answered.append(float(good))
            refused.append(float(ruled))
            lost.append(float(FLOOD - good - ruled))
            seconds.append(outcome.seconds)
        deployer.adapter.destroy(name)
        case = f"{FLOOD:,} in one second, as {profile}"
        table.add(Row(case, "the platform", "answered", "", answered))
        table.add(Row(case, "the platform", "refused by rule", "", refused))
        table.add(Row(case, "the platform", "neither", "", lost, "<= 0"))
        table.add(Row(case, "the platform", "last answer", "s", seconds))


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise SystemExit(f"process {pid} has ended")


def main() -> None:
    """Measure in a home of its own and write the table."""
    options = arguments(__doc__)
    rounds = 2 if options.quick else 7
    table = Table("platform", ("aiohttp", "uvloop", "httptools"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = Home(folder / "home")
        deployer = Deployer(home, LocalAdapter(home, port=0), folder)
        stack.callback(daemon.stop, home)
        measure_share(deployer, table, rounds)
        measure_flood(deployer, table, max(1, rounds // 2))
        measure_rest(deployer, table, rounds)
    table.write(options.json)


if __name__ == "__main__":
    main()
