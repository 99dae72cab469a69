"""Locks that are waited for only as long as somebody wants what they guard."""

from __future__ import annotations

import fcntl
import math
import threading
import time

_POLL = 0.02


def locked(
    descriptor: int, operation: int, called_off: threading.Event, timeout: float = math.inf
) -> bool:
    """Wait for a lock (flock(2)).

    Args:
        descriptor: An open file.
        operation: ``LOCK_EX`` or ``LOCK_SH``.
        called_off: Set from another thread when nobody wants it any more.
        timeout: Seconds.

    Returns:
        Whether it is held; False if it was called off or took too long.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or called_off.wait(_POLL):
                return False
        else:
            return True
