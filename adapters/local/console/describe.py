"""What the console's form knows of a function, without starting an instance of it."""

from __future__ import annotations

from typing import Any

from bentofn.adapters.local.functions import Function
from bentofn.runtime.manifest import ServiceContract


def describe(function: Function) -> dict[str, Any]:
    """A function's endpoints.

    Args:
        function: A deployed one.
    """
    live = function.live
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
    }
