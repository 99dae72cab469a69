"""Fetches what a pull needs and the store has not, and counts it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from bentofn.packager.arriving_referrers import ArrivingReferrer
from bentofn.packager.registry.download import fetch_blob
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.manifests import read_blob
from bentofn.packager.trust.kinds import name_of

Report = Callable[[str], None]


class Fetch:
    """Fetches blobs, and counts their bytes."""

    def __init__(self, transport: Transport, store: Store, source: str) -> None:
        self.transport, self.store, self._source = transport, store, source
        self.moved = self.skipped = 0
        self._counting = threading.Lock()

    def blob(self, blob: Descriptor, starting: Callable[[], None]) -> int:
        """Fetch a blob that is not there; ``starting`` is called before; returns bytes fetched."""
        if self.store.blobs.has_whole(blob.digest, blob.size):
            with self._counting:
                self.skipped += blob.size
            return 0
        starting()
        fetch_blob(self.transport, self.store, blob, self._source)
        with self._counting:
            self.moved += blob.size
        return blob.size

    def read(self, blob: Descriptor) -> bytes:
        """The content of a small blob, fetched if it is not there."""
        self.blob(blob, _silently)
        return read_blob(self.store.blobs, blob.digest, "what refers to the bento")

    def referrer(self, referrer: ArrivingReferrer, report: Report) -> None:
        """Fetch what refers to a bento; of its config, two bytes, nobody is told."""
        sentence = f"Pulling {name_of(referrer.referrer.artifact_type)}"
        for blob in referrer.blobs:
            if blob.digest != referrer.config.digest:
                self.blob(blob, partial(report, sentence))
            elif not self.store.blobs.has_whole(blob.digest, blob.size):
                self.blob(blob, _silently)


def _silently() -> None:
    """Tell nobody."""
