"""Request batching: what waits while a batch runs forms the next batch."""

from bentofn.runtime.batching.dispatcher import (
    BatchDispatcher,
    BatchReport,
    BatchTimeout,
)
from bentofn.runtime.batching.in_flight import InFlight
from bentofn.runtime.batching.payload import BatchLengthMismatch, NotBatchable
from bentofn.runtime.batching.requests import BatchResult

__all__ = [
    "BatchDispatcher",
    "BatchLengthMismatch",
    "BatchReport",
    "BatchResult",
    "BatchTimeout",
    "InFlight",
    "NotBatchable",
]
