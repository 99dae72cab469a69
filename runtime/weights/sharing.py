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
    turn = threading.Condition()
    busy: set[int] = set()
    failed: list[BaseException] = []
    stopped = stop or threading.Event()
    until = time.monotonic() + patience

    def take(alone: bool = False) -> bool:
        """Work on items; returns whether there may be more."""
        me = threading.get_ident()
        while not alone or time.monotonic() < until:
            try:
                with turn:
                    if failed or stopped.is_set():
                        return False
                    item = next(pending)
                    busy.add(me)
                work(item)
            except StopIteration:
                return False
            except BaseException as error:
                failed.append(error)
            finally:
                with turn:
                    busy.discard(me)
                    turn.notify()
        return True

    others: list[threading.Thread] = []
    try:
        if threads > 1 and take(alone=True):
            with suppress(RuntimeError):  # the system lets no more be started: fewer do it
                while len(others) < threads - 1:
                    thread = threading.Thread(target=take, daemon=True)
                    thread.start()
                    others.append(thread)
        take()
    except BaseException as error:
        failed.append(error)
    _end(others, turn, busy, failed)
    if failed:
        raise failed[0]


def _end(
    others: Iterable[threading.Thread],
    turn: threading.Condition,
    busy: set[int],
    failed: list[BaseException],
) -> None:
    """Wait until no other thread works, whatever comes: it uses what the caller gives back then.

    An interrupted join ends a running thread for Python (3.11's ``Thread._wait_for_tstate_lock``),
    so it is not what counts.
    """
    me = {threading.get_ident()}
    while True:
        try:
            for thread in others:
                thread.join()
            with turn:
                turn.wait_for(lambda: busy <= me)
            return
        except BaseException as error:  # such as Ctrl-C
            failed.append(error)
