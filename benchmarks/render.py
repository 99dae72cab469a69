"""Writes docs/benchmarks.md from the tables in benchmarks/results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
INTRODUCTION = """\
# What we measured

Each table is written by the script of its name in `benchmarks/` (`make bench`), which runs what it
compares in turn, on one machine, in one run. Figures are medians, with minimum and maximum.
"""


def table(name: str, document: dict[str, Any]) -> str:
    """One benchmark's section."""
    machine, versions = document["machine"], document["versions"]
    lines = [
        f"## {name}",
        "",
        f"{machine['cpus']} CPUs ({machine['cpu']}), {machine['memory_gib']} GiB, "
        f"{machine['system']} {machine['kernel']}; "
        + ", ".join(f"{key} {value}" for key, value in versions.items())
        + ".",
        "",
        "| case | subject | metric | median | range | n | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        goal = f"{row['goal']}: {'met' if row['met'] else 'not met'}" if "goal" in row else ""
        lines.append(
            f"| {row['case']} | {row['subject']} | {row['metric']} | {row['median']:.4g} "
            f"{row['unit']} | {row['min']:.4g} to {row['max']:.4g} | {row['n']} | {goal} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Render every table."""
    sections = [
        table(path.stem, json.loads(path.read_text()))
        for path in sorted((HERE / "results").glob("*.json"))
    ]
    PAGE.write_text("\n".join([INTRODUCTION, *sections]))


if __name__ == "__main__":
    main()
