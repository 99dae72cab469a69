"""What goes wrong beside a test ends that test's worker at most, never the whole run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import threading, warnings
import pytest

class Broken:
    def __repr__(self):
        raise SystemExit(3)

def test_report():
    raise ValueError("no \\udc80")

def test_warning():
    warnings.warn("no \\udc81", stacklevel=1)

def test_thread():
    def run():
        raise ValueError("no \\udc82")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

def test_worker():
    def fail(broken):
        raise ValueError
    fail(Broken())

@pytest.mark.parametrize("number", range(10))
def test_others(number):
    pass
"""


def test_a_report_a_warning_or_a_worker_that_breaks_does_not_end_the_run(tmp_path: Path) -> None:
    conftest = Path(__file__).resolve().parents[1] / "conftest.py"
    (tmp_path / "conftest.py").write_text(conftest.read_text())
    (tmp_path / "test_broken.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-n", "1", "-v"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert "INTERNALERROR" not in said
    assert "2 failed, 12 passed" in said, said
    assert "ValueError: no \\udc80" in said
    assert "Beside test_broken.py::test_worker:" in said
    assert "crashed while running 'test_broken.py::test_worker'" in said
