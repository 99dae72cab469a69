"""Texts of records that may come from elsewhere."""

from __future__ import annotations


def printable(value: object, most: int) -> str:
    """A text that a sentence may name: terminals take control characters for commands.

    Args:
        value: What a record holds.
        most: Characters that it may have.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str) or not value.isprintable() or len(value) > most:
        raise TypeError("no printable text")
    return value
