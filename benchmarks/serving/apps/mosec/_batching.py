"""How a mosec worker batches: as the benchmark's variant says."""

import os
from typing import Any

import msgspec

BATCH = int(os.environ["BENCH_BATCH"])
WAIT = 1 if BATCH > 1 else 0
"""Milliseconds; mosec's shortest window."""


class FastJSON:
    """JSON by msgspec, which mosec depends on; its own is the standard library's."""

    def deserialize(self, data: bytes) -> Any:
        return msgspec.json.decode(data)

    def serialize(self, data: Any) -> bytes:
        return msgspec.json.encode(data)
