"""Names of types and methods, whatever a service calls its own."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection


def pascal_case(name: str) -> str:
    """A name for a type: ``chat_reply``, ``Page[int]`` become ``ChatReply``, ``PageInt``."""
    words = [word for word in re.split("_+", _letters(name)) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined if joined.isidentifier() else f"T{joined}"


def identifier(name: str, taken: Collection[str]) -> str:
    """A name for a member: what no identifier holds becomes ``_``, and a taken one ends with it."""
    found = _letters(name)
    return unused(found if found.isidentifier() else f"_{found}", taken, "_")


def _letters(name: str) -> str:
    """A name whose characters may all be part of an identifier, as Python reads it: in NFKC."""
    normal = unicodedata.normalize("NFKC", name)
    return "".join(each if f"_{each}".isidentifier() else "_" for each in normal)


def is_identifier(name: str) -> bool:
    """Whether Python reads a name as it is written."""
    usable = name.isidentifier() and not keyword.iskeyword(name)
    return usable and unicodedata.is_normalized("NFKC", name)


def unused(name: str, taken: Collection[str], suffix: str = "") -> str:
    """A name that is not taken: itself, or with a number, or with as many suffixes as it takes."""
    found, number = name, 2
    while found in taken:
        found, number = (found + suffix, number) if suffix else (f"{name}{number}", number + 1)
    return found
