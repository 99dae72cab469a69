"""Cold starts of a service that calls torch.compile, on a CPU: with what a build kept, and without.

The service is built once in a home of this script's. Starts with the layer, without it (its link is
taken out of the bento's root) and restored from a snapshot are taken in turn, from nothing to the
reply, by `bentofn bench cold-start`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import Row, Table, arguments, ratios

from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store

PROJECT = Path(__file__).parent / "projects" / "compiled"
CASE = "first reply of torch.compile"
LAYER, NO_LAYER, RESTORED = "compiled layer", "without it", "restored from a snapshot"


def bentofn(home: Home, *words: str) -> str:
    """Run a command on a home; its stdout."""
    environment = {**os.environ, "BENTOFN_HOME": str(home.path)}
    command = [sys.executable, "-m", "bentofn", *words]
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def start(home: Home, tag: str, snapshot: str) -> dict[str, float]:
    """Kind of a start to the milliseconds that one took to the reply."""
    words = ("bench", "cold-start", tag, "--rounds", "1", "--snapshot", snapshot, "--json")
    document: dict[str, Any] = json.loads(bentofn(home, *words))
    return {kind: row["median_ms"] for kind, row in document["starts"].items()}


@contextmanager
def without(link: Path) -> Iterator[None]:
    """Without a link of a root."""
    target = link.readlink()
    link.unlink()
    try:
        yield
    finally:
        link.symlink_to(target)


def main() -> None:
    """Measure and write the table."""
    options = arguments(__doc__)
    rounds = 1 if options.quick else 7
    table = Table("compiled", distributions=("torch",))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(os.environ.get("BENTOFN_BENCH_HOME") or folder))
        bentofn(home, "build", str(PROJECT))
        store = Store(home)
        entry = store.get("bento", "compiled:latest")
        [size] = [each.size for each in store.layers(entry) if each.kind == "compiled"]
        layer = materialise(home, entry) / "compiled"
        samples: dict[str, list[float]] = {LAYER: [], NO_LAYER: [], RESTORED: []}
        for _ in range(rounds):
            found = start(home, entry.tag, "auto")
            samples[LAYER].append(found["plain"])
            if "criu" in found:
                samples[RESTORED].append(found["criu"])
            with without(layer):
                samples[NO_LAYER].append(start(home, entry.tag, "none")["plain"])
    for subject, values in samples.items():
        if values:
            table.add(Row(CASE, subject, "from nothing", "ms", values))
    sooner = ratios(samples[NO_LAYER], samples[LAYER])
    table.add(Row(CASE, LAYER, "sooner than without", "x", sooner))
    table.add(Row(CASE, LAYER, "size", "kB", [size / 1000]))
    table.write(options.json)


if __name__ == "__main__":
    main()
