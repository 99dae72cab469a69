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

KEPT = {"array"}
"""What is of another element type once it was JSON."""


def begin(python: str, package: str, folder: Path, *ports: int) -> subprocess.Popen[str]:
    """Have the clients of a package talk to servers."""
    folder.mkdir()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    command = [python, str(HERE / "talk.py"), package, str(folder), *urls]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def result(process: subprocess.Popen[str]) -> Any:
    """What each kind of client got of each server."""
    said, wrong = process.communicate(timeout=120)
    assert process.returncode == 0, wrong
    return json.loads(said)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["clients"])
def test_clients_of_both(case: str, stock: Mapping[str, int], ours: int, tmp_path: Path) -> None:
    ports = (stock[case], ours)
    theirs = str(stock_python(tmp_path / "home"))
    talks = [
        begin(theirs, "bentoml", tmp_path / "a", *ports),
        begin(sys.executable, "bentofn", tmp_path / "b", *ports),
    ]
    stocks, own = map(result, talks)
    for kind, mended in MENDED.items():
        expected, of_ours = stocks[kind]
        assert of_ours == expected
        for got, other in zip(own[kind], (mended, mended | KEPT), strict=True):
            assert {name for name in got if got[name] != expected[name]} == other
            assert not [name for name in other if "error" in str(got[name])]
