"""Stopping a sync method that runs on a thread, when its task is cancelled."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any


class Stopped(BaseException):
    """Raised inside a task's method, at its next line, when the task was cancelled."""


class Stopper:
    """Stops what one task runs on a thread; nothing where it runs on the loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._stopped = False

    def run(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function on this thread, where :meth:`stop` reaches it."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._thread = threading.get_ident()
        try:
            return call(*args, **kwargs)
        finally:
            with self._lock:
                thread, self._thread = self._thread, None
                if thread is not None and self._stopped:
                    _raise_in(thread, None)  # it came too late to be raised in the function

    def stop(self) -> None:
        """Raise :class:`Stopped` in the function that runs, or in the one that will.

        What waits inside C code, a computation of torch for instance, ends first.
        """
        with self._lock:
            if self._thread is not None and not self._stopped:
                _raise_in(self._thread, Stopped)
            self._stopped = True


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an error at its next line, or no longer raise it.

    Source: https://docs.python.org/3/c-api/init.html, PyThreadState_SetAsyncExc
    """
    import ctypes

    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


current_stopper: ContextVar[Stopper] = ContextVar("current_stopper")
"""The stopper of the task that this code runs in."""


def stoppable(method: Callable[..., Any]) -> Callable[..., Any]:
    """A sync method that a task's cancellation stops; any other as it is."""
    if inspect.iscoroutinefunction(method):
        return method

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        stopper = current_stopper.get(None)
        return method(*args, **kwargs) if stopper is None else stopper.run(method, *args, **kwargs)

    return run
