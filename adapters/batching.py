"""What a deployment says of joining requests, over what the service declares."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from bentofn.adapters.yamltree import Node

VARIABLE = "BENTOFN_BATCHING"
"""What the runtime reads it from; see :mod:`bentofn.runtime.batching.deployed`."""


@dataclass(frozen=True)
class Batching:
    """Holds for every endpoint that is ``batchable``.

    Args:
        enabled: Whether requests are joined at all.
        max_batch_size: Items of a batch at most; None for what the endpoint declares.
        max_latency_ms: Milliseconds after which a waiting request is refused; None for what the
            endpoint declares.
    """

    enabled: bool = True
    max_batch_size: int | None = None
    max_latency_ms: int | None = None


def read_batching(node: Node) -> Batching | None:
    """Read ``batching``: a boolean, or ``maxBatchSize`` and ``maxLatencyMs``.

    Raises:
        UserError: A value is wrong.
    """
    if node.value is None:
        return None
    if not node.is_mapping:
        return Batching(node.boolean(default=True))
    node.only(["maxBatchSize", "maxLatencyMs"])
    return Batching(
        True,
        node["maxBatchSize"].optional_integer(least=2),
        node["maxLatencyMs"].optional_integer(least=1),
    )


def batching_environment(batching: Batching | None) -> dict[str, str]:
    """The variables by which the runtime in an instance learns of it."""
    return {} if batching is None else {VARIABLE: json.dumps(dataclasses.asdict(batching))}
