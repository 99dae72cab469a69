"""What a deployment says of batching, over what an endpoint declares."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from bentofn.runtime.api import APIMethod

VARIABLE = "BENTOFN_BATCHING"
"""Environment variable that holds it: a JSON object of ``enabled``, ``max_batch_size`` and
``max_latency_ms``, of which null leaves what the endpoint declares."""


def as_deployed(method: APIMethod, environ: Mapping[str, str]) -> APIMethod:
    """An endpoint with what its deployment says.

    Args:
        method: As declared.
        environ: The instance's variables.
    """
    text = environ.get(VARIABLE)
    if not text or not method.batchable:
        return method
    said = json.loads(text)
    return dataclasses.replace(
        method,
        batchable=said["enabled"],
        max_batch_size=said["max_batch_size"] or method.max_batch_size,
        max_latency_ms=said["max_latency_ms"] or method.max_latency_ms,
    )
