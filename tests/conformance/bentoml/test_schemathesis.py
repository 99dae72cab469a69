"""Schemathesis sends whatever ``/docs.json`` allows and much that it does not: no answer is 5xx."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

HERE = Path(__file__).parent
WITHOUT = {"busy", "commands", "errors", "mounts", "prefixed_commands", "tables"}
"""Cases whose methods all fail or wait, and those whose ``/docs.json`` is another server's or
application's."""

CASES = sorted({path.stem for path in (HERE / "cases").glob("*.py")} - WITHOUT)
PREFIX = {"surroundings": "/v1"}
EXAMPLES = 8
"""For each operation; the coverage phase adds its own."""

FAILING = {
    "arrays": "root|table|tensor|twice",
    "batches": "across|arrays|breaks|short|fails",
    "clients": "transpose|grow|frame|nested|fail|texts",
    "contexts": "writes",
    "declared": "fails",
    "dependencies": "forward|too_slow|fails_later|one_fails|caught|in_parallel",
    "files": "missing|named|paints|letter",
    "streams": "breaks",
    "tasks": "unmakable|waits",
    "values": "bare|wrong_output",
    "waiting": "slow|awaited|items",
}
"""Cases to their methods whose own code fails, or waits: always, or for some of what their types
allow."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_request_makes_a_server_error(
    case: str, ours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from schemathesis.cli import schemathesis

    monkeypatch.chdir(tmp_path)
    url = f"http://127.0.0.1:{ours}{PREFIX.get(case, '')}/docs.json"
    command = ["run", url, "--no-color", "--checks", "not_a_server_error"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", "1", "--request-timeout", "20"]
    command += ["--max-examples", str(EXAMPLES), "--suppress-health-check", "all"]
    if case in FAILING:
        command += ["--exclude-path-regex", FAILING[case]]
    done = CliRunner().invoke(schemathesis, command)
    assert done.exit_code == 0, done.output[-6000:]
