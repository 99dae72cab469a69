"""What a deployment says of joining requests, over what the service declares."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.adapters.yamltree import Node


@dataclass(frozen=True)
class Batching:
    """Holds for every endpoint that is ``batchable``.

    Args:
        enabled: Whether requests are joined at all.
        max_batch_size: Items of a batch at most; None for what the endpoint declares.
        max_latency_ms: Milliseconds that an answer may take; None for what the endpoint declares.
    """

    enabled: bool = True
    max_batch_size: int | None = None
    max_latency_ms: float | None = None


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
        node["maxLatencyMs"].optional_number(above=0),
    )
