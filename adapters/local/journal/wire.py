"""Events as JSON, for readers in other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from bentofn.adapters.local.journal.events import Event

_TYPES = {each.__name__: each for each in get_args(Event)}


def to_json(event: Event) -> dict[str, Any]:
    """Plain data that :func:`from_json` reads back."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}


def from_json(raw: Mapping[str, Any]) -> Event:
    """Read what :func:`to_json` wrote."""
    fields = {name: value for name, value in raw.items() if name != "event"}
    event: Event = _TYPES[raw["event"]](**fields)
    return event
