"""What a build costs: the first, one with nothing changed, and one after a one-line change."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from services import change_one_line
from table import Row, Table, arguments

from bentofn.commands.demo import import_weights
from bentofn.commands.init import write_template
from bentofn.packager.home import Home


def build(project: Path, home: Path) -> float:
    """Seconds of ``bentofn build`` as a process of its own."""
    command = [sys.executable, "-m", "bentofn", "build", str(project)]
    environment = {**os.environ, "BENTOFN_HOME": str(home)}
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure in a home of its own and write the table."""
    options = arguments(__doc__)
    rounds = 5 if options.quick else 15
    table = Table("build", ("uv", "zstandard"))
    with tempfile.TemporaryDirectory() as folder:
        home, project = Path(folder) / "home", Path(folder) / "embeddings"
        import_weights(Home(home), print)
        write_template("embeddings", project)
        first = build(project, home)
        unchanged, changed = [], []
        for number in range(rounds):
            unchanged.append(build(project, home))
            change_one_line(project, number)
            changed.append(build(project, home))
    case = "build the embeddings example"
    table.add(Row(f"{case}, first", "bentofn", "wall", "s", [first]))
    table.add(Row(f"{case}, unchanged", "bentofn", "wall", "s", unchanged, goal="<= 0.5"))
    table.add(Row(f"{case}, one line", "bentofn", "wall", "s", changed, goal="<= 1.0"))
    table.write(options.json)


if __name__ == "__main__":
    main()
