"""`bentofn serve`, as a user runs it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def said_url(
    folder: Path,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[str]:
    """Run bentofn in a folder; the URL at which it says that it serves."""
    command = [sys.executable, "-m", "bentofn", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(r"serves at (\S+)", said)):
                line = process.stdout.readline()
                assert line, said
                said += line
            yield found.group(1)
        finally:
            process.send_signal(stop)
