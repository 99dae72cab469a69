"""How much the tests do that could go on for long."""

from __future__ import annotations

import os


def every_way() -> bool:
    """Whether each call of a deployment is failed in each way, and not in one of them."""
    return os.environ.get("BENTOFN_TEST_FAULTS") == "all"
