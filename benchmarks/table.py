"""The table that every benchmark prints and writes: rows of medians, with machine and versions."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure.

    Args:
        case: What was done.
        subject: Who did it.
        metric: What was measured.
        unit: Its unit.
        values: The samples; the table shows median, minimum and maximum.
        goal: The figure that an issue sets, with its direction: ``<= 150`` or ``>= 20``.
    """

    case: str
    subject: str
    metric: str
    unit: str
    values: Sequence[float]
    goal: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        direction, figure = self.goal.split()
        return self.median <= float(figure) if direction == "<=" else self.median >= float(figure)

    def to_json(self) -> dict[str, object]:
        document: dict[str, object] = {
            "case": self.case,
            "subject": self.subject,
            "metric": self.metric,
            "unit": self.unit,
            "median": round(self.median, 3),
            "min": round(min(self.values), 3),
            "max": round(max(self.values), 3),
            "n": len(self.values),
        }
        if self.goal is not None:
            document |= {"goal": self.goal, "met": self.met}
        return document


@dataclass
class Table:
    """The rows of one benchmark.

    Args:
        name: The benchmark's name and the stem of its file in ``benchmarks/results``.
        distributions: Distributions whose versions matter.
        others: Versions of what is not installed beside bentofn.
        rows: The rows so far.
    """

    name: str
    distributions: Sequence[str] = ()
    others: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Add a row and print it."""
        self.rows.append(row)
        goal = "" if row.goal is None else f"  goal {row.goal}: {'met' if row.met else 'NOT MET'}"
        print(
            f"{row.case:<34} {row.subject:<28} {row.metric:<22} {row.median:10.2f} {row.unit:<6}"
            f" ({min(row.values):.2f} to {max(row.values):.2f}, n={len(row.values)}){goal}",
            flush=True,
        )

    def write(self, path: Path | None = None) -> None:
        """Write the table as JSON, by default to ``benchmarks/results/NAME.json``."""
        document = {
            "machine": machine(),
            "versions": versions(self.distributions) | self.others,
            "rows": [row.to_json() for row in self.rows],
        }
        path = path or RESULTS / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n")


@dataclass(frozen=True)
class Arguments:
    """What every benchmark takes."""

    quick: bool
    json: Path | None


def arguments(description: str | None) -> Arguments:
    """Parse ``--quick`` (under a minute, fewer rounds) and ``--json PATH``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under a minute")
    parser.add_argument("--json", type=Path, help="write the table here")
    parsed = parser.parse_args()
    return Arguments(parsed.quick, parsed.json)


def machine() -> dict[str, object]:
    """The machine as far as it explains the figures."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """The versions of Python and of installed distributions."""
    found = {"python": platform.python_version()}
    for name in ("bentofn", *distributions):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Ratios of samples taken in turn, pair by pair."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
