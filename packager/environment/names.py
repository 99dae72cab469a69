"""Names of distributions, each written in one way.

https://packaging.python.org/en/latest/specifications/name-normalization/
"""

from __future__ import annotations

import re

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


def normalised(name: str) -> str:
    """A distribution's name, normalised."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """The normalised name of the distribution that a requirement, or a line of a lock, is for."""
    match = _NAME.match(requirement)
    return normalised(match.group(1)) if match else ""
