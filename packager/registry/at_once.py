"""Move several small blobs at once: each costs a connection, and a model has hundreds of parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bentofn.packager.store import Descriptor

CONNECTIONS = 6
SMALL = 32 << 20
"""Bytes up to which a blob is moved beside others. Larger ones fill the line alone, and Ctrl-C
should not have to wait for them."""


def move_blobs(blobs: Iterable[Descriptor], move: Callable[[Descriptor], int]) -> int:
    """Move each blob: the large ones in order, then the small ones in several threads.

    Args:
        blobs: The blobs.
        move: Moves one, and returns the bytes that were moved.

    Returns:
        The sum of the bytes.

    Raises:
        UserError: One could not be moved; those that were not begun are left.
    """
    # Here, because its import costs more than finding that nothing needs to be moved.
    from concurrent.futures import ThreadPoolExecutor

    chosen = list(blobs)
    moved = sum(move(blob) for blob in chosen if blob.size > SMALL)
    small = [blob for blob in chosen if blob.size <= SMALL]
    # The first alone, so that what the registry asks of us is known to the others.
    moved += sum(move(blob) for blob in small[:1])
    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        return moved + sum(pool.map(move, small[1:]))
    finally:
        pool.shutdown(cancel_futures=True)
