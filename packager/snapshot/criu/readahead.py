"""Starts from a snapshot that the page cache lost: learnt once what they need, then read ahead."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bentofn.packager.snapshot.criu.hot import hot_set, load_hot_set, save_hot_set, touched_by
from bentofn.packager.snapshot.criu.prefetch import Prefetch
from bentofn.runtime.errors import UserError


class ReadAhead:
    """The prefetch of one snapshot, and how it comes to know what to read.

    At each start call ``start``, and while ``known`` is False call ``learn`` with an instance that
    has answered. It is a help only: nothing here raises for what a disk or a process does.

    Args:
        snapshot: The snapshot's directory, in which the hot set is kept.
    """

    def __init__(self, snapshot: Path) -> None:
        self._snapshot = snapshot
        self._prefetch = _load(snapshot)

    @property
    def known(self) -> bool:
        """Whether the hot set is known."""
        return self._prefetch is not None

    def start(self) -> bool:
        """Read ahead what the page cache does not hold; say whether anything has to be read.

        Does not wait for the disk: a tenth of a millisecond where everything is there.
        """
        return self._prefetch is not None and self._prefetch.start()

    def learn(self, pid: int) -> None:
        """Take what an instance has touched for the hot set, and keep it.

        Reads the page table of the instance (some milliseconds for each GB): not for an event loop.
        """
        if self.known:
            return
        with suppress(OSError, UserError):
            save_hot_set(hot_set([touched_by(pid)], self._snapshot), self._snapshot)
            self._prefetch = _load(self._snapshot)

    def close(self) -> None:
        """Stop reading."""
        if self._prefetch is not None:
            self._prefetch.close()


def _load(snapshot: Path) -> Prefetch | None:
    hot = load_hot_set(snapshot)
    return None if hot is None else Prefetch(hot)
