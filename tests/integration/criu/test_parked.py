"""Services that never reach their snapshot point: each has its sentence, and nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from bentofn.packager.snapshot.parked import TakeFailed, parked
from bentofn.runtime.layout import boot_command

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes pid namespaces"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="this host has no unshare"),
]


def descendants() -> list[int]:
    """The processes that this one has started, and theirs."""
    found = [os.getpid()]
    for pid in found:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in path.read_text().split()]
    return found[1:]


def refusal(root: Path, script: str, timeout: float = 60, kill: bool = False) -> str:
    """The sentence of a boot process that does this; all that it started has ended."""
    python = Path(sys.executable)
    boot = Path(next(word for word in boot_command(python, root, "snapshot") if "boot" in word))
    boot.parent.mkdir(parents=True)
    boot.write_text(script)
    before = set(descendants())
    wrote: list[str] = []

    def hear(_: str, line: str) -> None:
        wrote.append(line)
        if kill:
            os.kill([pid for pid in descendants() if pid not in before][-1], signal.SIGKILL)

    (root / "wire").touch()
    env = dict(os.environ)
    with (
        pytest.raises(TakeFailed) as failed,
        parked(root, python, env, root / "wire", timeout, hear, threading.Event()),
    ):
        raise AssertionError("it parked")
    assert set(descendants()) <= before
    assert not any(line.startswith("unshare:") for line in wrote)
    return str(failed.value)


def test_one_that_exits_says_its_last_error(tmp_path: Path) -> None:
    said = refusal(tmp_path, "import sys; sys.exit('no such model')")
    assert said == "no such model (it exited with status 1 before its snapshot point)"


def test_one_that_the_system_kills_is_said_to_be_killed(tmp_path: Path) -> None:
    script = "import time; print('here', flush=True); time.sleep(600)"
    said = refusal(tmp_path, script, kill=True)
    assert said == "it was killed before its snapshot point, for want of memory perhaps"


def test_one_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    said = refusal(tmp_path, "import time; time.sleep(600)", timeout=0.5)
    assert said == "the service did not reach its snapshot point within 0.5 s"
