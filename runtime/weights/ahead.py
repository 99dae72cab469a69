"""Files read into the page cache while something else is waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from bentofn.runtime.stages import stage
from bentofn.runtime.weights.memory import mapped, populate


@contextmanager
def reading_ahead(paths: Sequence[str | os.PathLike[str]]) -> Iterator[None]:
    """Read what the page cache lacks of files, for as long as the block takes and no longer.

    It is a help only: what cannot be read, whoever needs it tells.

    Args:
        paths: The files, in the order in which they are needed.
    """
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=(paths, stop), name="ahead", daemon=True)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()


def _read(paths: Sequence[str | os.PathLike[str]], stop: threading.Event) -> None:
    with stage("weights.ahead"):
        for path in paths:
            if stop.is_set():
                return
            with suppress(OSError, ValueError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    size = os.fstat(descriptor).st_size
                    populate(mapped(descriptor, size), descriptor, stop=stop)
                finally:
                    os.close(descriptor)
