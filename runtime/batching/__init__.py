"""Request batching: what waits while a batch runs forms the next batch."""

from bentofn.runtime.batching.core import Batcher, Dispatch, Expire, Slice, WakeAt
from bentofn.runtime.batching.dispatcher import BatchDispatcher, BatchResult, BatchTimeout
from bentofn.runtime.batching.payload import BatchLengthMismatch, NotBatchable

__all__ = [
    "BatchDispatcher",
    "BatchLengthMismatch",
    "BatchResult",
    "BatchTimeout",
    "Batcher",
    "Dispatch",
    "Expire",
    "NotBatchable",
    "Slice",
    "WakeAt",
]
