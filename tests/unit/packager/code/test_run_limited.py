"""Commands that run a service while it is built leave nothing behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from instances import eventually

from bentofn.packager.code.contract import run_limited


def test_what_a_command_started_ends_with_it(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = (
        "import pathlib, subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(started)!r}).write_text(str(child.pid))"
    )
    status, _ = run_limited([sys.executable, "-c", code], dict(os.environ))
    assert status == 0
    process = Path("/proc", started.read_text())
    eventually(lambda: not process.exists() or _is_zombie(process))


def _is_zombie(process: Path) -> bool:
    try:
        return ") Z " in (process / "stat").read_text()
    except OSError:
        return True
