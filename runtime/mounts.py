"""ASGI applications that a service answers with beside its endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mount:
    """An application under a path of a service.

    Args:
        app: The ASGI application.
        path: The path that it answers below, with a leading slash.
        name: The user's name for it.
    """

    app: Any
    path: str
    name: str | None = None
