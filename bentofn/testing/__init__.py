"""Tests of functions on a local platform of their own.

pytest finds the fixtures ``bentofn_platform`` and ``deploy`` by itself; :func:`platform` is for
other test runners.
"""

from __future__ import annotations

from bentofn._testing.function import DeployedFunction
from bentofn._testing.platform import LocalPlatform, platform
from bentofn._testing.requests import Request, Start
from bentofn._testing.waiting import wait_until

__all__ = ["DeployedFunction", "LocalPlatform", "Request", "Start", "platform", "wait_until"]
