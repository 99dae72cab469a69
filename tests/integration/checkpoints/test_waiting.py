"""A service that waits to be checkpointed says so when it does, and no sooner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import ask, free_port, wait_for


def test_what_an_earlier_process_has_left_does_not_say_that_it_waits(
    project: Path, tmp_path: Path
) -> None:
    ready, port = tmp_path / "ready", free_port()
    ready.touch()
    service = project / "service.py"
    code = service.read_text().replace('["construct"]', f"[Path({str(ready)!r}).exists()]")
    service.write_text(f"from pathlib import Path\n{code}")
    with subprocess.Popen(
        [sys.executable, "-m", "bentofn", "serve", str(project), "--port", str(port)],
        env={**os.environ, "BENTOFN_CHECKPOINT": str(ready)},
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            while "Waiting to be checkpointed" not in (line := process.stdout.readline()):
                assert line
            assert ready.exists()
            ready.unlink()
            wait_for(port)
            seen = ask(port, "throw", b"{}")["seen"]
        finally:
            process.terminate()
    assert seen == [False, "before_snapshot", "after_restore", "on_startup"]
