"""Schemathesis sends whatever ``/docs.json`` allows and much that it does not: no answer is 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PREFIX = {"surroundings": "/v1"}
FAILING = {
    "arrays": "root|table|tensor|twice",
    "batches": "across|arrays|breaks|short",
    "contexts": "writes",
    "files": "missing|named|paints",
    "streams": "breaks",
    "surroundings": "nothing",
    "values": "bare|wrong_output",
}
"""Cases to their methods whose own code fails: always, or for some of what their types allow."""


@pytest.mark.slow
@pytest.mark.parametrize("case", FAILING)
def test_no_request_makes_a_server_error(case: str, ours: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{ours}{PREFIX.get(case, '')}/docs.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", url, "--no-color"]
    command += ["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", "4", "--seed", "1", "--request-timeout", "20"]
    command += ["--suppress-health-check", "all", "--exclude-path-regex", FAILING[case]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
