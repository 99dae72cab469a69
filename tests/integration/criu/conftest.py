"""Small processes to be dumped, each the first of a pid namespace of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_BEFORE = """
import ctypes, fcntl, os, signal, socket, sys
os.setsid()
libc = ctypes.CDLL(None, use_errno=True)
kept = []
"""
_AFTER = """
null = os.open("/dev/null", os.O_RDWR)
for number in range(3):
    os.dup2(null, number)
os.close(null)
open(sys.argv[1], "w").close()
while True:
    signal.pause()
"""
_SECONDS = 20.0


@dataclass(frozen=True)
class Sleeper:
    """A process that waits to be dumped.

    Args:
        pid: It.
        outside: The process that made its namespace and waits for its end.
    """

    pid: int
    outside: subprocess.Popen[bytes]

    def ended(self) -> bool:
        """Whether it and its namespace are gone; waits a while for it."""
        self.outside.wait(_SECONDS)
        return not Path(f"/proc/{self.pid}").exists()


StartSleeper = Callable[..., Sleeper]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[StartSleeper]:
    """Starts Python with a few lines of its own, in ``kept`` what they want to hold.

    A second argument names descriptors of ours that it inherits.
    """
    started: list[Sleeper] = []

    def start(lines: str = "", keep: Sequence[int] = ()) -> Sleeper:
        ready = tmp_path / f"ready{len(started)}"
        script = _BEFORE + textwrap.dedent(lines) + _AFTER
        python = [sys.executable, "-I", "-c", script, str(ready)]
        outside = subprocess.Popen(
            ["unshare", "--pid", "--fork", *python],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            pass_fds=keep,
        )
        deadline = time.monotonic() + _SECONDS
        while not ready.exists():
            assert outside.poll() is None, "the process could not be prepared"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        started.append(Sleeper(int(children[0]), outside))
        return started[-1]

    yield start
    for each in started:
        if each.outside.poll() is None:
            with suppress(ProcessLookupError):  # its end is not yet known outside
                os.kill(each.pid, signal.SIGKILL)
            each.outside.wait(_SECONDS)
