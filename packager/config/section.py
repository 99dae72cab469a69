"""What the sections of a bentofile have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict


def _as_list(value: object) -> object:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


Strings = Annotated[list[str], BeforeValidator(_as_list)]

SECTION = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
"""A mapping of a bentofile knows all of its keys, and takes numbers for texts."""

Text = Annotated[str, BeforeValidator(str)]
"""What YAML reads as something else is the text that BentoML makes of it: ``True``, ``1.5``."""
