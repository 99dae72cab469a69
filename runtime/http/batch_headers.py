"""What an answer says of the batch that gave it."""

from __future__ import annotations

from functools import lru_cache

from bentofn.runtime.batching import BatchResult
from bentofn.runtime.http.exchange import Exchange, Header, plain_fields

SIZE = b"x-bentofn-batch-size"
SECONDS = b"x-bentofn-batch-seconds"
"""Seconds that a request waited for its batch, and that the batch took."""
TIMED = b"x-bentofn-timed"
"""Header of a request that asks for these; a platform that makes traces sends it."""


def about(batch: BatchResult | None, exchange: Exchange) -> tuple[Header, ...]:
    """The headers; none where there is no batch."""
    if batch is None:
        return ()
    if any(name == TIMED for name, _ in exchange.scope["headers"]):
        return (_size(batch.batch_size), (SECONDS, b"%.6f %.6f" % (batch.waited, batch.took)))
    return (_size(batch.batch_size),)


def own_fields(media_type: str, headers: tuple[Header, ...]) -> bytes | None:
    """The fields of a response to which nothing but :func:`about`'s headers is added."""
    return _fields(media_type, headers) if len(headers) < 2 else None


@lru_cache(maxsize=256)
def _fields(media_type: str, headers: tuple[Header, ...]) -> bytes | None:
    return plain_fields(media_type, headers)


@lru_cache(maxsize=256)
def _size(items: int) -> Header:
    return (SIZE, b"%d" % items)
