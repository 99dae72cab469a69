"""Work that several threads share, each item taken by whoever is free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def share(
    work: Callable[[Item], object],
    items: Iterable[Item],
    threads: int,
    *,
    patience: float = 0.0,
    stop: threading.Event | None = None,
) -> None:
    """Do the work on every item, in this thread and others.

    Args:
        work: Called with one item; it lets other threads run while it waits.
        items: What to do, in order; may come one by one.
        threads: How many work at most, this one included.
        patience: Seconds that this thread works alone: what takes no longer starts no other.
        stop: Ends the work after the items that are begun.

    Raises:
        Exception: The first that ``work`` raised; the items that were begun are done then, and no
            other is begun.
    """
    pending = iter(items)
    lock = threading.Lock()
    failed: list[BaseException] = []
    stopped = stop or threading.Event()
    until = time.monotonic() + patience

    def take(alone: bool = False) -> bool:
        """Work on items; returns whether there may be more."""
        while not (failed or stopped.is_set()):
            if alone and time.monotonic() >= until:
                return True
            try:
                with lock:
                    item = next(pending)
                work(item)
            except StopIteration:
                return False
            except BaseException as error:
                failed.append(error)
        return False

    if threads > 1 and take(alone=True):
        others = [threading.Thread(target=take, daemon=True) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        take()
        for thread in others:
            thread.join()
    else:
        take()
    if failed:
        raise failed[0]
