"""``Tag``: the name and the version of a model or a bento, by BentoML's rules."""

from __future__ import annotations

import re
import warnings

from bentofn.runtime.errors import BentoMLException

_PART = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_LONGEST = 63


class Tag:
    """A name with a version, or without one; as text ``name:version``.

    Source: bentoml/_internal/tag.py of BentoML 1.4

    Args:
        name: The name; lower-cased.
        version: The version; lower-cased.

    Raises:
        ValueError: One of them has other characters than letters, digits, ``.``, ``_`` and ``-``.
    """

    __slots__ = ("name", "version")

    def __init__(self, name: str, version: str | None = None) -> None:
        self.name = _checked(name)
        self.version = None if version is None else _checked(version)

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"

    def __repr__(self) -> str:
        return f"Tag(name={self.name!r}, version={self.version!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and str(self) == str(other)

    def __lt__(self, other: Tag) -> bool:
        if not isinstance(other, Tag):
            return NotImplemented
        return (self.name, self.version or "") < (other.name, other.version or "")

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    @classmethod
    def from_taglike(cls, taglike: Tag | str) -> Tag:
        """A tag from a tag or its text.

        Raises:
            BentoMLException: The text is no tag.
        """
        return taglike if isinstance(taglike, Tag) else cls.from_str(taglike)

    @classmethod
    def from_str(cls, text: str) -> Tag:
        """A tag from ``name`` or ``name:version``.

        Raises:
            BentoMLException: The text is no tag.
        """
        name, colon, version = text.partition(":")
        if colon and not version:
            raise BentoMLException(f"{text} ends with a colon; did you mean `{text}latest`?")
        try:
            return cls(name, version or None)
        except ValueError as error:
            raise BentoMLException(f"Invalid Tag {text}: {error}") from error

    def make_new_version(self) -> Tag:
        """The same name with a version that nobody else has made.

        Raises:
            ValueError: It has a version.
        """
        if self.version is not None:
            raise ValueError(f"{self} has a version already")
        import base64  # most services make no versions
        import uuid

        made = uuid.uuid1().bytes
        return Tag(self.name, base64.b32encode(made[:6] + made[8:12]).decode().lower())

    def path(self) -> str:
        """``name/version``."""
        return self.name if self.version is None else f"{self.name}/{self.version}"

    def latest_path(self) -> str:
        """``name/latest``."""
        return f"{self.name}/latest"


def _checked(part: str) -> str:
    lower = part.lower()
    if lower != part:
        warnings.warn(f"The tag {part!r} is taken in lower case: {lower!r}.", stacklevel=3)
    if len(lower) > _LONGEST or _PART.fullmatch(lower) is None:
        raise ValueError(
            f"{part!r} must be at most {_LONGEST} lower-case letters, digits, '.', '_' and '-', "
            "with a letter or a digit at both ends"
        )
    return lower
