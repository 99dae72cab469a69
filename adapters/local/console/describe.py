"""What the console's form knows of a function: its endpoints, without starting an instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentofn.adapters.local.functions import Function
from bentofn.runtime.manifest import ServiceContract


def describe(function: Function) -> dict[str, Any]:
    """A function's endpoints and events.

    Args:
        function: A deployed one.
    """
    live, deployment = function.live, function.deployment
    contract = live.bento.manifest.contract if live is not None else ServiceContract("", "")
    return {
        "name": function.name,
        "endpoints": [
            {
                "name": api.name,
                "route": f"{contract.path_prefix}{api.route}",
                "input": api.input_schema,
                "examples": list(api.examples),
                "stream": api.is_stream,
                "batchable": api.batchable,
                "max_batch_size": api.max_batch_size,
                "task": api.is_task,
                "doc": api.doc,
            }
            for api in contract.apis
        ],
        "schedules": [
            event["schedule"]
            for event in (deployment.spec.settings.events if deployment is not None else ())
            if isinstance(event, Mapping) and "schedule" in event
        ],
    }
