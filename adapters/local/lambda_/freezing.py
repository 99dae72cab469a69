"""A runtime stands still while it has nothing to do: on Lambda nothing runs between invocations."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable


class Freezer:
    """Stops the processes of a runtime, and has them go on.

    Args:
        group: Gives their process group.
    """

    def __init__(self, group: Callable[[], int]) -> None:
        self.frozen = False
        self._group = group

    def freeze(self) -> None:
        """Stop them."""
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Have them go on, if they were stopped."""
        if self.frozen:
            self._signal(signal.SIGCONT)
            self.frozen = False

    def _signal(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group(), signum)
