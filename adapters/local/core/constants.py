"""A profile's file: constants in tables, each with how sure it is and where it comes from."""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentofn.runtime.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLAIN = "plain"
"""The profile of functions that are deployed as nothing else."""

CERTAINTIES: Mapping[str, str] = {
    "V": "run and seen",
    "S": "read in the backend's source",
    "D": "the backend's documentation",
    "R": "unsure: recalled, or an example's",
    "own": "our choice",
}


@dataclass(frozen=True)
class Constant:
    """One constant.

    Args:
        value: Its value.
        certainty: A key of :data:`CERTAINTIES`.
        source: Where it stands, or why it was chosen.
        note: What else is to be known of it.
        setting: The name by which a function may set it; empty where it may not.
        choices: What it may be, the usual first; empty for any number, or true or false.
    """

    value: Any
    certainty: str
    source: str
    note: str = ""
    setting: str = ""
    choices: tuple[str, ...] = ()


Tables = Mapping[str, Mapping[str, Constant]]
"""Constants by table and name."""


def profile_names() -> tuple[str, ...]:
    """The profiles that ship with bentofn, by name."""
    folder = importlib.resources.files("bentofn.adapters.local") / "profiles"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


def read_tables(name: str) -> Tables:
    """Read the file of a profile.

    Raises:
        UserError: There is none of this name.
    """
    if name not in profile_names():
        known = ", ".join(profile_names())
        raise UserError(f"There is no platform profile {name!r}; known: {known}.")
    folder = importlib.resources.files("bentofn.adapters.local") / "profiles"
    document = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    sources = document.pop("sources")
    return {
        table: {key: _constant(each, sources) for key, each in constants.items()}
        for table, constants in document.items()
    }


def _constant(raw: Mapping[str, Any], sources: Mapping[str, str]) -> Constant:
    given = dict(raw)
    given["source"] = sources.get(given["source"], given["source"])
    given["choices"] = tuple(given.get("choices", ()))
    return Constant(**given)
