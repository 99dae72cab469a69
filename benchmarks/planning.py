"""What a user waits for before anything changes: the help, and a plan, as whole processes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "servers"))
from aws_cloud import running_aws
from table import Row, Table

BARE = (sys.executable, "-c", "pass")
BENTOFN = (sys.executable, "-m", "bentofn")
TARGET = ("--target", "aws-lambda")


def measure_help(table: Table, rounds: int) -> None:
    """``bentofn --help`` and bare Python, in turn."""
    bare, shown = [], []
    for _ in range(rounds):
        bare.append(_run(BARE))
        shown.append(_run((*BENTOFN, "--help")))
    over = [ours - python for ours, python in zip(shown, bare, strict=True)]
    table.add(Row("bentofn --help", "bare python", "wall", "ms", bare))
    table.add(Row("bentofn --help", "bentofn", "over bare python", "ms", over, "<= 100"))


def measure_plans(project: Path, home: Path, table: Table, rounds: int) -> None:
    """``bentofn plan`` of a built project, before it was ever deployed and after.

    Args:
        project: The project; it has a ``serverless.yml``.
        home: Where it is built.
        table: Gets the rows.
        rounds: How often each is planned.
    """
    plan = (*BENTOFN, "plan", *TARGET)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # says what moto does not simulate
    with running_aws() as aws:
        environment = {**aws.environment, "BENTOFN_HOME": str(home)}

        def planned() -> list[float]:
            _run(plan, project, environment)  # builds what is not built yet
            return [_run(plan, project, environment) for _ in range(rounds)]

        new = planned()
        _run((*BENTOFN, "deploy", *TARGET), project, environment)
        live = planned()
    table.add(Row("bentofn plan, new function", "bentofn", "wall", "ms", new, "<= 1000"))
    table.add(Row("bentofn plan, nothing changed", "bentofn", "wall", "ms", live, "<= 1000"))


def _run(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> float:
    """Milliseconds of a whole process.

    Raises:
        SystemExit: It failed; with what it said.
    """
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return elapsed
