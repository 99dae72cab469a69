"""Schemathesis sends whatever ``/docs.json`` allows and much that it does not: no answer is 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = sorted({path.stem for path in (HERE / "cases").glob("*.py")} - {"errors"})
PREFIX = {"surroundings": "/v1"}
FAILING = {
    "batches": "short|breaks",
    "contexts": "writes",
    "files": "missing",
    "streams": "breaks",
    "values": "wrong_output",
}
"""What fails whatever it is sent, as the suite beside this asks of it."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_request_makes_a_server_error(case: str, ours: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{ours}{PREFIX.get(case, '')}/docs.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", url, "--no-color"]
    command += ["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", "6", "--seed", "1", "--request-timeout", "20"]
    command += ["--suppress-health-check", "all", "--exclude-path-regex", FAILING.get(case, "^$")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
