"""Which versions of Modal's client this adapter works with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from bentofn.runtime.errors import UserError

OLDEST, BEFORE = (1, 5, 4), (1, 7)
"""Versions that the tests deploy with, from the first to before the second. Its calls for the
history and for rolling back have no public form, so that others may differ."""

REQUIREMENT = "modal>=1.5.4,<1.7"


def check_client() -> str:
    """The version of the client that is installed.

    Raises:
        UserError: There is none, or one of another range.
    """
    try:
        found = version("modal")
    except PackageNotFoundError:
        raise UserError(
            f"Target modal needs Modal's client; install it with: pip install '{REQUIREMENT}'."
        ) from None
    if not OLDEST <= _numbers(found) < BEFORE:
        raise UserError(
            f"Target modal works with another version of Modal's client than modal {found}, which "
            f"is installed; install one with: pip install '{REQUIREMENT}'."
        )
    return found


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: ``1.6.4.dev3`` is 1, 6, 4."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
