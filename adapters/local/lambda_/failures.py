"""How a runtime failed."""

from __future__ import annotations

import json

from bentofn.adapters.local.lambda_ import report


class RuntimeFailed(Exception):  # noqa: N818 - what happened to the function's process
    """A runtime could not start, or ended.

    Args:
        error_type: Such as ``Runtime.ImportModuleError``.
        payload: The JSON with which it said so itself; None where it said nothing.
        status: Its exit status; None where it has not ended yet.
    """

    def __init__(
        self, error_type: str, payload: bytes | None = None, status: int | None = None
    ) -> None:
        super().__init__(error_type)
        self.error_type = error_type
        self.payload = payload
        self.status = status


def describe(failure: RuntimeFailed) -> str:
    """What happened, in the function's own words where it said any."""
    if failure.payload is None:
        return report.how_it_exited(failure.status)
    try:
        message = str(json.loads(failure.payload)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        message = failure.payload.decode(errors="replace")
    return f"{failure.error_type}: {message}"
