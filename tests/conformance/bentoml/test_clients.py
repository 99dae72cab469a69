"""Clients of both against servers of both: what one cannot send, the other still does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from stock_bentoml import stock_python

HERE = Path(__file__).parent

MENDED = {
    "SyncHTTPClient": {"open file", "image of one's own"},
    "AsyncHTTPClient": {"open file", "image of one's own", "root file"},
}
"""What BentoML's client fails to send; docs/clients.md lists it."""


def talk(python: str, package: str, kind: str, port: int, folder: Path) -> dict[str, Any]:
    """What a client gets of a server."""
    folder.mkdir()
    command = [python, str(HERE / "talk.py"), package, kind, f"http://127.0.0.1:{port}"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    return got


@pytest.mark.slow
@pytest.mark.parametrize("kind", MENDED)
@pytest.mark.parametrize("case", ["clients"])
def test_clients_of_both(
    case: str, kind: str, stock: Mapping[str, int], ours: int, tmp_path: Path
) -> None:
    theirs = str(stock_python(tmp_path / "home"))
    expected = talk(theirs, "bentoml", kind, stock[case], tmp_path / "a")
    assert talk(theirs, "bentoml", kind, ours, tmp_path / "b") == expected
    for number, port in enumerate((stock[case], ours)):
        got = talk(sys.executable, "bentofn", kind, port, tmp_path / f"c{number}")
        assert {name for name in got if got[name] != expected[name]} == MENDED[kind]
        assert not [name for name in MENDED[kind] if "error" in str(got[name])]
