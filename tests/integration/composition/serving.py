"""``bentofn serve`` in a process of its own, for a test to ask and to end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

Found = TypeVar("Found")

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Args:
        url: Where it answers.
        pid: Its first process.
        log: What it writes.
    """

    url: str
    pid: int
    log: Path

    def post(self, path: str, **body: object) -> httpx.Response:
        """Ask an endpoint."""
        return httpx.post(f"{self.url}{path}", json=body, timeout=PATIENCE)

    def processes(self) -> dict[int, list[int]]:
        """Each child of the first process, with its own children."""
        return {child: children_of(child) for child in children_of(self.pid)}


@contextlib.contextmanager
def serving(*target: str, **variables: str) -> Iterator[Served]:
    """Serve a target on a free port; it must end within its time when it is told to."""
    log = Path(variables.pop("LOG"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentofn", "serve", *target, "--port", "0"],
            stdout=output,
            stderr=output,
            env={**os.environ, **variables},
        )
    try:
        found = wait_for(lambda: re.search(r"serves at (\S+)", log.read_text()), process, log)
        yield Served(found[1], process.pid, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def wait_for(
    look: Callable[[], Found | None], process: subprocess.Popen[bytes], log: Path
) -> Found:
    """Look until something is found; fails where the process ends before."""
    until = time.monotonic() + PATIENCE
    while (found := look()) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)
    return found
