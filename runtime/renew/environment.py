"""The environment of a copy."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping


def renew_environment(env: Mapping[str, str]) -> None:
    """Make this the whole environment, also for C libraries, and read the time zone from it.

    Only what differs is written: a write goes through to the C library.
    """
    for name in os.environ.keys() - env.keys():
        del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    time.tzset()
