"""What is waited for only as long as somebody wants it."""

from __future__ import annotations

import fcntl
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@contextmanager
def when(called_off: threading.Event, end: Callable[[], object]) -> Iterator[None]:
    """End what the block waits for, should it be called off meanwhile.

    Args:
        called_off: Set from another thread when nobody wants it any more.
        end: Called at most once, in a thread, never after the block; the waiting then fails.
    """
    left = threading.Event()

    def watch() -> None:
        while not left.wait(_POLL):
            if called_off.is_set():
                end()
                return

    watcher = threading.Thread(target=watch, name="called-off", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()
