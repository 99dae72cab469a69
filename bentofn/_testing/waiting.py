"""Waiting for what comes about by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.02


def wait_until(condition: Callable[[], T | None], timeout: float = 30.0, what: str = "it") -> T:
    """Wait until something is so.

    Args:
        condition: Is asked again until it gives something true.
        timeout: Seconds after which the test fails.
        what: Named in the failure.

    Returns:
        What the condition gave.

    Raises:
        AssertionError: It was not so in time.
    """
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come about within {timeout:g} s")
        time.sleep(_POLL)
    return found
