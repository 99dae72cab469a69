"""bentofn: from nothing running to a correct answer, faster than anyone, on any backend.

Names are resolved on first use, so that importing this module costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bentofn import exceptions, models
    from bentofn.runtime.api import api
    from bentofn.runtime.context import Context
    from bentofn.runtime.hooks import (
        after_restore,
        before_snapshot,
        on_deployment,
        on_shutdown,
        on_startup,
        register_after_restore,
        register_before_snapshot,
    )
    from bentofn.runtime.service import Service, service

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Service",
    "__version__",
    "after_restore",
    "api",
    "before_snapshot",
    "exceptions",
    "models",
    "on_deployment",
    "on_shutdown",
    "on_startup",
    "register_after_restore",
    "register_before_snapshot",
    "service",
]

_HOME_OF = {
    "Context": "context",
    "Service": "service",
    "after_restore": "hooks",
    "api": "api",
    "before_snapshot": "hooks",
    "on_deployment": "hooks",
    "on_shutdown": "hooks",
    "on_startup": "hooks",
    "register_after_restore": "hooks",
    "register_before_snapshot": "hooks",
    "service": "service",
}


def __getattr__(name: str) -> Any:
    if name in ("exceptions", "models"):
        return importlib.import_module(f"bentofn.{name}")
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"bentofn.runtime.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'bentofn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
