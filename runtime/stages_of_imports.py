"""Imports as stages, each within the one that it is part of, as ``-X importtime`` shows them.

Only where it was asked for: it makes starts that import much some per cent slower.
"""

from __future__ import annotations

import importlib._bootstrap as bootstrap
import time
from functools import wraps
from typing import Any

from bentofn.runtime.stages import asked, since

SHORTEST = 500_000
"""Nanoseconds; an import that took less is not told of."""


def tell_of_imports() -> None:
    """Tell of every module that this process imports from now on.

    The interpreter looks up what finds and loads a module each time that it is not there yet
    (``import_find_and_load`` in CPython's Python/import.c).
    """
    whole: Any = bootstrap
    find_and_load = whole._find_and_load
    if hasattr(find_and_load, "__wrapped__"):
        return

    @wraps(find_and_load)
    def timed(name: str, import_: Any) -> Any:
        began = time.monotonic_ns()
        try:
            return find_and_load(name, import_)
        finally:
            if asked() and time.monotonic_ns() - began >= SHORTEST:
                since(f"import {name}", began)

    whole._find_and_load = timed
