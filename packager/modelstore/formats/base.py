"""What a format of model files is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bentofn.packager.modelstore.policy import Policy
from bentofn.runtime.errors import UserError


@dataclass(frozen=True)
class Checked:
    """What checking a file showed.

    Args:
        beside: Files that it needs, relative to its folder.
        notes: What the user should know, one sentence each.
    """

    beside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Format(Protocol):
    """One format."""

    @property
    def name(self) -> str:
        """Its name, for users and in the model's config."""
        ...

    @property
    def mapped(self) -> bool:
        """Whether its readers map the file, so that even a small one is a blob of its own."""
        ...

    def detects(self, source: Path, start: bytes) -> bool:
        """Whether a file is of this format, by its name and its first bytes."""
        ...

    def check(self, source: Path, policy: Policy) -> Checked:
        """Make sure that a file is whole and runs no code when it is loaded.

        Raises:
            UserError: It is not.
        """
        ...


def not_whole(source: Path, what: str, why: str) -> UserError:
    """The refusal of a file that is damaged."""
    return UserError(f"{source} is not a whole {what}: {why}; download or save it again.")
