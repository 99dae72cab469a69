"""Work that several threads share, each item taken by whoever is free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
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
        BaseException: The first that ``work`` raised, or an interrupt; the items that were begun
            are done then, and no other is begun.
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

    others: list[threading.Thread] = []
    try:
        if threads > 1 and take(alone=True):
            others += (threading.Thread(target=take, daemon=True) for _ in range(threads - 1))
            with suppress(RuntimeError):  # the system lets no more be started: fewer do it
                for thread in others:
                    thread.start()
        take()
    except BaseException as error:
        failed.append(error)
    for thread in others:
        _wait_for(thread, failed)
    if failed:
        raise failed[0]


def _wait_for(thread: threading.Thread, failed: list[BaseException]) -> None:
    """Wait for the end of a thread, whatever comes: it uses what the caller gives back then."""
    while thread.is_alive():
        try:
            thread.join()
        except BaseException as error:  # such as Ctrl-C
            failed.append(error)
