"""The event loop of what serves: uvloop's, where there is uvloop."""

from __future__ import annotations

import asyncio
import importlib


def is_importable(name: str) -> bool:
    """Whether a module can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, where there is uvloop."""
    if is_importable("uvloop"):
        loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
        return loop
    return asyncio.new_event_loop()
