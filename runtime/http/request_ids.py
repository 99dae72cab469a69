"""Ids for requests that bring none."""

from __future__ import annotations

import os
import random


def system_id() -> bytes:
    """One from the system's randomness."""
    return os.urandom(8).hex().encode()


class RequestIds:
    """Makes them: random, and not secret.

    A system call for each would give the interpreter's lock to whatever thread waits for it.
    """

    def __init__(self) -> None:
        self._random = random.Random()

    def new(self) -> bytes:
        """One more."""
        return b"%016x" % self._random.getrandbits(64)
