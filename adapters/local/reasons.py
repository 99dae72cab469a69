"""Why an instance did not start, and how one ended: what logs and callers are told."""

from __future__ import annotations

import asyncio
import traceback

from bentofn.runtime.errors import UserError


def why_not_started(error: BaseException) -> str:
    """Why there is no instance; what no start should raise is printed with its traceback."""
    if isinstance(error, asyncio.CancelledError):
        return "the start was called off"
    if isinstance(error, UserError):
        return str(error)
    if not isinstance(error, OSError):
        traceback.print_exception(error)
    return f"The platform could not start an instance: {error}."


def how_it_ended(status: int | None, verdict: str) -> str:
    """How an instance ended.

    Args:
        status: Its exit status, negative for a signal; None if nobody knows.
        verdict: Why, where the platform ended it or knows who did; else empty.
    """
    if status is None:
        how = "it is gone"
    elif status < 0:
        how = f"killed by signal {-status}"
    else:
        how = f"exited with status {status}"
    return f"{how}: {verdict}" if verdict else how
