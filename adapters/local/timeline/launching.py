"""Starts of the platform's that are told of, because requests are traced."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bentofn.adapters.local.engines import Instance
from bentofn.adapters.local.journal.traces import Traces
from bentofn.adapters.local.launcher import Launcher
from bentofn.adapters.local.timeline.timeline import Telling


async def launch_traced(
    launcher: Launcher, function: str, name: str, threads: int, traces: Traces
) -> tuple[Instance, str]:
    """Start an instance and say where the time went, up to where it serves.

    Args:
        launcher: Starts it.
        function: Whose it is.
        name: Its name.
        threads: Its compute threads.
        traces: Told of it.

    Returns:
        What :meth:`bentofn.adapters.local.launcher.Launcher.launch` does.

    Raises:
        UserError: It does not serve.
    """
    descriptor, path = tempfile.mkstemp(prefix="bentofn-stages-")
    os.close(descriptor)
    telling = Telling(name, Path(path))
    try:
        with telling.listening():
            instance, kind = await launcher.launch(name, threads, telling.variables)
        traces.started(function, name, telling.timeline(time.time_ns()))
    finally:
        telling.file.unlink(missing_ok=True)
    return instance, kind
