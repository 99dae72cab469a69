"""From nothing running to the first correct answer: a plain start and a restored one, in turn.

Both functions are the embeddings example on the local platform; a caller outside of it takes the
time from connecting to the whole, checked answer. Both are at zero before each request.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path

from table import Row, Table, arguments, ratios

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.commands.demo import build_example, import_weights
from bentofn.commands.tour import Embedder, wait_for_zero
from bentofn.packager.home import Home

PLAIN, RESTORED = "bench-plain", "bench-restored"
IDLE_TIMEOUT = 0.5  # seconds


def report(step: str) -> None:
    """Tell what is being done."""
    print(f"# {step}", file=sys.stderr)


def deploy(adapter: LocalAdapter, name: str, bento: str, snapshot: str) -> Embedder:
    """Deploy the example under a name."""
    settings = FunctionSettings(idle_timeout=IDLE_TIMEOUT, max_instances=1)
    settings = dataclasses.replace(settings, snapshot=snapshot)  # type: ignore[arg-type]
    return Embedder(adapter.apply(FunctionSpec(name, bento, settings), report).url)


def measure(home: Home, rounds: int, table: Table) -> None:
    """Deploy, ask both functions in turn, and add the rows."""
    import_weights(home, report)
    bento = build_example(home, report).tag
    adapter = LocalAdapter(home, port=0)
    plain = deploy(adapter, PLAIN, bento, "none")
    restored = deploy(adapter, RESTORED, bento, "template")
    _, truth = plain.ask()
    samples: dict[str, list[float]] = {"cold": [], "restored": [], "warm": []}
    for _ in range(rounds):
        for name in (PLAIN, RESTORED):
            wait_for_zero(adapter, name)
        samples["cold"].append(plain.ask_checked(truth, start="cold"))
        samples["restored"].append(restored.ask_checked(truth, start="restored"))
        samples["warm"].append(restored.ask_checked(truth, start="warm"))
    case = "first correct answer, embeddings"
    table.add(Row(case, "bentofn, no snapshot", "wall", "ms", samples["cold"]))
    table.add(Row(case, "bentofn, template", "wall", "ms", samples["restored"], goal="<= 150"))
    sooner = ratios(samples["cold"], samples["restored"])
    table.add(Row(case, "bentofn, template", "times sooner", "x", sooner, goal=">= 20"))
    table.add(Row("warm answer, embeddings", "bentofn", "wall", "ms", samples["warm"]))


def main() -> None:
    """Measure in a home of its own and write the table."""
    options = arguments(__doc__)
    table = Table("cold_start", ("torch", "uvicorn", "uvloop"))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(os.environ.get("BENTOFN_BENCH_HOME", folder)))
        try:
            measure(home, 5 if options.quick else 15, table)
        finally:
            daemon.stop(home)
    table.write(options.json)


if __name__ == "__main__":
    main()
