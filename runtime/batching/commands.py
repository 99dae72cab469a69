"""What the batcher asks of its driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bentofn.runtime.batching.lines import Slice


@dataclass(frozen=True)
class Dispatch:
    """Run these slices as one batch, joined in this order; then call ``finished`` or ``failed``."""

    batch_id: int
    batch: tuple[Slice, ...]


@dataclass(frozen=True)
class Expire:
    """The request is late, or will be: answer 503. Nothing of it runs any more."""

    request_id: int


@dataclass(frozen=True)
class Fail:
    """Answer the request with the error of the batch that has just failed."""

    request_id: int


class WakeAt(NamedTuple):
    """Call ``Batcher.wake`` at this time.

    One that lies ahead replaces a later one; one for now comes besides it.
    """

    time: float


Command = Dispatch | Expire | Fail | WakeAt
