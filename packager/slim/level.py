"""How much is slimmed, and with what, as a build's input."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.packager.slim.rules import RULES_VERSION
from bentofn.packager.slim.strip import Strip, find_strip
from bentofn.runtime.errors import UserError

LEVELS = ("off", "safe")


@dataclass(frozen=True)
class Slimming:
    """What is left out of an environment.

    Args:
        level: One of :data:`LEVELS`.
        strip: Strips debug symbols; None where nothing is stripped.
    """

    level: str
    strip: Strip | None = None

    @property
    def identity(self) -> str:
        """Names it so that the same name and the same packages give the same bytes."""
        if self.level == "off":
            return self.level
        return f"{self.level} {RULES_VERSION}, {self.strip.version if self.strip else 'no strip'}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know, one sentence each."""
        if self.level == "off" or self.strip is not None:
            return ()
        return ("Debug symbols stay in the packages: install binutils, which has `strip`.",)


def find_slimming(level: str) -> Slimming:
    """The slimming of a level on this machine, which is also the target's (see ``find_target``).

    Raises:
        UserError: There is no such level.
    """
    if level not in LEVELS:
        raise UserError(f"There is no --slim {level}; it takes {' or '.join(LEVELS)}.")
    return Slimming(level, find_strip() if level == "safe" else None)
