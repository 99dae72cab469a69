"""Blobs of a lazy bento: a piece of one, from the store if it is there, else from the registry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bentofn.packager.lazy.once import Once
from bentofn.packager.registry.download import fetch_blob
from bentofn.packager.registry.ranges import fetch_range
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Store

REPORT_EVERY = 0.5
"""Seconds between two reports of how much was fetched."""


class RemoteBlobs:
    """The blobs of one bento.

    Args:
        transport: The repository that has them.
        store: The store, which has some and gets more.
        source: The repository's name, for messages.
        fetched: Told the bytes that were fetched in all, now and then.
    """

    def __init__(
        self, transport: Transport, store: Store, source: str, fetched: Callable[[int], None]
    ) -> None:
        self.transport = transport
        self.store = store
        self.last_miss = time.monotonic()
        self._source = source
        self._fetched = fetched
        self._once = Once()
        self._lock = threading.Lock()
        self._bytes = 0
        self._reported = 0.0

    def piece(self, blob: Descriptor, start: int, end: int, *, remote: bool = False) -> bytes:
        """Some bytes of a blob, which are still to be checked.

        Args:
            blob: It.
            start: First byte.
            end: The byte after the last.
            remote: Whether not to trust the store's.

        Raises:
            UserError: The registry refuses or fails.
        """
        if not remote:
            try:
                with self.store.blob_path(blob.digest).open("rb") as file:
                    file.seek(start)
                    return file.read(end - start)
            except FileNotFoundError:
                pass
        data = fetch_range(self.transport, blob.digest, start, end)
        self._count(len(data))
        return data

    def whole(self, blob: Descriptor) -> None:
        """Make sure that a blob is in the store, checked against its digest.

        Raises:
            UserError: The registry refuses or fails, or the disk is full.
        """
        if not self.store.blobs.has_whole(blob.digest, blob.size):
            self._once.do(blob.digest, lambda: self._fetch(blob))

    def report(self) -> None:
        """Tell how much was fetched."""
        with self._lock:
            size, self._reported = self._bytes, time.monotonic()
        self._fetched(size)

    def _fetch(self, blob: Descriptor) -> None:
        fetch_blob(self.transport, self.store, blob, self._source)
        self._count(blob.size)

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            self.last_miss = time.monotonic()
            due = self.last_miss - self._reported >= REPORT_EVERY
        if due:
            self.report()
