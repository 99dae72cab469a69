from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from bentofn.adapters.local.daemon import Endpoint, status
from bentofn.packager.home import Home


@pytest.mark.parametrize("killed", [False, True])
def test_a_platform_that_was_killed_while_it_started_a_process_does_not_run(
    killed: bool, tmp_path: Path
) -> None:
    """Its child shares the lock until it runs its own program."""
    (run := Home(tmp_path).run).mkdir()
    with subprocess.Popen("true") as ended:
        pass
    endpoint = Endpoint(ended.pid if killed else os.getpid(), 1, "token", time.time())
    (run / "emulator.json").write_text(json.dumps(dataclasses.asdict(endpoint)))
    with (run / "emulator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert status(Home(tmp_path)) == (None if killed else endpoint)
