"""All objects that the collector knows, frozen ones too."""

from __future__ import annotations

import gc
from typing import Any


def known_objects() -> list[Any]:
    """They; what was frozen, the collector itself does not list, and it is frozen again."""
    if not gc.get_freeze_count():
        return gc.get_objects()
    gc.unfreeze()
    try:
        return gc.get_objects()
    finally:
        gc.freeze()
