"""How much of callers' bodies is in memory at a time."""

from __future__ import annotations

import os

from bentofn.adapters.local.tickets import Refused


def quarter_of_memory() -> int:
    """Bytes: a quarter of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


class Bodies:
    """Counts the bodies that come in pieces; what comes at once is at most one read of a socket.

    Args:
        limit: Bytes that they may hold together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0
        """Bytes that they hold now."""

    def take(self, size: int) -> None:
        """A piece is to be kept.

        Raises:
            Refused: There is no room for it.
        """
        if self.held + size > self._limit:
            raise Refused(
                503,
                f"The bodies of the requests that are under way hold {self.held} bytes; more is "
                "not kept in memory. Try again.",
            )
        self.held += size

    def release(self, size: int) -> None:
        """Some are kept no longer."""
        self.held -= size
