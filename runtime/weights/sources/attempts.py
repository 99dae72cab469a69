"""How often a range is asked for again, and after how long."""

from __future__ import annotations

import time

from bentofn.runtime.errors import UserError

_MOST = 5
_FIRST_WAIT = 0.1
"""Seconds before the second attempt; doubled before each further one."""

_PROGRESS = 1 << 18
"""Bytes: an attempt that brought so many before it failed is none that failed."""


class Attempts:
    """Those for one range.

    Args:
        name: The file's, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._failures = 0

    def failed(self, error: Exception, got: int = 0) -> None:
        """Wait until the next attempt.

        Args:
            error: Why this one ended.
            got: Bytes that it brought.

        Raises:
            UserError: It was the last.
        """
        if got >= _PROGRESS:
            self._failures = 0
            return
        self._failures += 1
        if self._failures == _MOST:
            why = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"Cannot read {self._name}: {why.rstrip('.')}.") from error
        time.sleep(_FIRST_WAIT * 2 ** (self._failures - 1))
