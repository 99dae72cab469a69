"""What a function sets itself of its backend's rules, by the backend's own names.

A constant of a profile that can be set so says in its file by which name (``setting``).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from bentofn.adapters.local.core.constants import Constant, Tables, read_tables
from bentofn.adapters.local.core.profile import Profile, build_profile, load_profile
from bentofn.adapters.settings import FunctionSettings

BUFFER = "bufferInstances"
"""A field of every function's, which some profiles have a constant for."""


def profile_of(settings: FunctionSettings) -> Profile:
    """The rules that a function runs by: its profile's, and what it sets of them itself.

    Raises:
        UserError: There is no such profile.
    """
    chosen = dict(settings.tuning.get(settings.profile, {}))
    if settings.buffer_instances is not None:
        chosen[BUFFER] = settings.buffer_instances
    if not chosen:
        return load_profile(settings.profile)
    return _tuned(settings.profile, tuple(sorted(chosen.items())))


def tunable(tables: Tables) -> Mapping[str, Constant]:
    """The constants that a function may set, by the names by which it does."""
    return {
        constant.setting: constant
        for constants in tables.values()
        for constant in constants.values()
        if constant.setting
    }


@functools.lru_cache(maxsize=256)
def _tuned(name: str, chosen: tuple[tuple[str, Any], ...]) -> Profile:
    values = dict(chosen)

    def set_by_function(constant: Constant) -> Constant:
        if constant.setting not in values:
            return constant
        return dataclasses.replace(constant, value=values[constant.setting])

    tables = {
        table: {key: set_by_function(constant) for key, constant in constants.items()}
        for table, constants in read_tables(name).items()
    }
    return build_profile(name, tables)
