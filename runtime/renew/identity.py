"""What libraries remember of the host and of the process's start."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any


def find_identity() -> list[Callable[[], None]]:
    """A function for each module that is loaded and remembers such things."""
    found: list[Callable[[], None]] = []
    platform, metrics = sys.modules.get("platform"), sys.modules.get("prometheus_client")
    locks = getattr(sys.modules.get("filelock._api"), "_FORK_STATE", None)
    if hasattr(locks, "reset_synchronization"):  # of filelock 4.2
        found.append(partial(_renew_locks, locks))
    if "logging" in sys.modules:
        found.append(partial(_renew_logging, sys.modules["logging"]))
    if platform is not None:
        found.append(partial(_renew_platform, platform))
    collector = getattr(metrics, "PROCESS_COLLECTOR", None)
    if collector is not None and sys.platform == "linux":
        found.append(partial(_renew_metrics, collector))
    return found


def _renew_locks(state: Any) -> None:
    """That it forks: a copy that has the same process id, each in a pid namespace of its own, takes
    itself for the process that has not finished that, and waits for it."""
    if state.admission_closed:
        state.reset_synchronization()


def _renew_logging(logging: Any) -> None:
    """When the program started, from which a record's ``relativeCreated`` counts."""
    in_nanoseconds = isinstance(logging._startTime, int)  # since Python 3.13
    logging._startTime = time.time_ns() if in_nanoseconds else time.time()


def _renew_platform(platform: Any) -> None:
    """The host's name and kernel, which ``platform.uname`` asks for once."""
    platform._uname_cache = None
    platform._platform_cache.clear()


def _renew_metrics(collector: Any) -> None:
    """When the host started, from which ``process_start_time_seconds`` counts."""
    collector._btime = int(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
