"""Work that several threads want done is done by the first, and the others wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future


class Once:
    """Keeps the same work from being done twice at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[None]] = {}

    def do(self, key: Hashable, work: Callable[[], None]) -> None:
        """Do some work, or wait for the thread that does it; either way it raises what it raises.

        Args:
            key: Names the work.
            work: It.
        """
        with self._lock:
            running = self._running.get(key)
            if running is None:
                mine = self._running[key] = Future()
        if running is not None:
            running.result()
            return
        try:
            work()
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(None)
        finally:
            with self._lock:
                del self._running[key]
