"""Names and versions, by BentoML's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentofn.runtime.errors import UserError

MAX_LENGTH = 63
"""Characters of a name or of a version at most. Source: bentoml/_internal/tag.py."""

_PART = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True)
class Tag:
    """What a user calls a bento or a model.

    Args:
        name: Its name.
        version: Its version, or None for the newest.
    """

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"


def check_part(text: str, what: str = "name") -> str:
    """Validate a name or a version, and lower it as BentoML does.

    Args:
        text: What the user wrote.
        what: ``name`` or ``version``, for the message.

    Raises:
        UserError: It breaks a rule.
    """
    lowered = text.lower()
    if len(lowered) <= MAX_LENGTH and _PART.fullmatch(lowered):
        return lowered
    raise UserError(
        f"{text!r} is not a valid {what}: use 1 to {MAX_LENGTH} letters, digits, '-', '_' and '.', "
        "with a letter or a digit at both ends."
    )


def parse_tag(text: str) -> Tag:
    """Read ``name``, ``name:version`` or ``name:latest``.

    Raises:
        UserError: The name or the version breaks a rule.
    """
    name, colon, version = text.partition(":")
    checked = check_part(name)
    if not colon or version == "latest":
        return Tag(checked)
    return Tag(checked, check_part(version, "version"))
