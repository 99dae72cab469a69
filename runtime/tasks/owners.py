"""Which processes share a database of tasks, and which of them still live."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path


class Owner:
    """This process among those that share a database: it holds a lock while it lives.

    Args:
        database: The database, beside which the lock file is made.

    Raises:
        OSError: The lock file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self.id = uuid.uuid4().hex
        final = self._lock_file(self.id)
        hidden = final.with_suffix(".new")
        self._lock = os.open(hidden, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        hidden.rename(final)  # locked before anybody can see it

    def close(self) -> None:
        """Be gone."""
        self._lock_file(self.id).unlink(missing_ok=True)
        os.close(self._lock)

    def tidy(self) -> None:
        """Remove the lock files of processes that have ended."""
        for path in self._database.parent.glob(f"{self._database.name}.*.lock"):
            self.is_gone(path.name.split(".")[-2])

    def is_gone(self, owner: str) -> bool:
        """Whether a process has ended; its lock file is then removed."""
        path = self._lock_file(owner)
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        path.unlink(missing_ok=True)
        return True

    def _lock_file(self, owner: str) -> Path:
        return self._database.with_name(f"{self._database.name}.{owner}.lock")
