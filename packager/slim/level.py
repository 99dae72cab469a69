"""How much is slimmed, and with what, as a build's input."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.packager.environment.target import Target
from bentofn.packager.slim.rules import RULES_VERSION
from bentofn.packager.slim.strip import Strip, find_strip, find_strip_for
from bentofn.runtime.errors import UserError

LEVELS = ("off", "safe", "traced")


@dataclass(frozen=True)
class Slimming:
    """What is left out of an environment.

    Args:
        level: ``off`` or ``safe``.
        strip: Strips debug symbols; None where nothing is stripped.
        remedy: What to install where there is no program that strips.
        traced: Whether what a first answer needs is traced, so that it can be fetched first. It
            leaves nothing out and makes the same layers.
    """

    level: str
    strip: Strip | None = None
    remedy: str = ""
    traced: bool = False

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
        return (f"Debug symbols stay in the packages: {self.remedy}.",)


def find_slimming(level: str, target: Target) -> Slimming:
    """The slimming of a level on this machine, for a target.

    Raises:
        UserError: There is no such level.
    """
    if level not in LEVELS:
        raise UserError(f"There is no --slim {level}; it takes {' or '.join(LEVELS)}.")
    if level == "off":
        return Slimming(level)
    traced = level == "traced"
    if target.is_foreign:
        remedy = f"install LLVM, whose `llvm-strip` strips for {target.platform} too"
        return Slimming("safe", find_strip_for(target.platform), remedy, traced)
    return Slimming("safe", find_strip(), "install binutils, which has `strip`", traced)
