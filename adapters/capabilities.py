"""What a target does with each field of the spec: natively, through our runtime, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bentofn.adapters.aws_words import OTHER_KEYS
from bentofn.adapters.plan import Problem
from bentofn.adapters.settings import FunctionSettings

Support = Literal["native", "emulated", "ignored", "refused"]
"""The backend does it; bentofn does it there; nothing is done, and nothing is wrong; it cannot be
had, and a function that asks for it is not deployed."""

ANY_OTHER = "*"
"""The name of what holds for the framework's keys that are not listed."""


@dataclass(frozen=True)
class Capability:
    """What a target does with a field.

    Args:
        field: Its name, one of :data:`bentofn.adapters.fields.NAMES`.
        support: What is done.
        how: With what, where it is done; why not, and what to write instead, where it is refused.
            A part of a sentence without a period.
    """

    field: str
    support: Support
    how: str = ""


@dataclass(frozen=True)
class Capabilities:
    """A target's table.

    Args:
        target: The target's name.
        entries: One for each field.
    """

    target: str
    entries: tuple[Capability, ...]

    def of(self, field: str) -> Capability:
        """What is done with a field; what nobody listed is refused."""
        entries = {entry.field: entry for entry in self.entries}
        if field in entries:
            return entries[field]
        if ANY_OTHER in entries and field in OTHER_KEYS:
            found = entries[ANY_OTHER]
            return Capability(field, found.support, found.how)
        return Capability(field, "refused", f"target {self.target} does not know this field")

    def problems(self, settings: FunctionSettings) -> tuple[Problem, ...]:
        """What of a function's settings the target refuses, ignores or has emulated."""
        # Here, because the parser of schedules is not for those who only ask for a status.
        from bentofn.adapters.fields import stated

        found = (self.of(name) for name in stated(settings))
        return tuple(
            Problem(each.support, each.field, _sentence(each))
            for each in found
            if each.support != "native"
        )


def public_url(settings: FunctionSettings) -> Iterator[Problem]:
    """Says of a function that anybody may call it, which is for a plan on targets whose addresses
    are the internet's.

    Args:
        settings: The function's.
    """
    if settings.url is not None and settings.url.authorizer is None:
        yield Problem(
            "public",
            "url",
            "The URL is public: anybody may call it, at your cost; url: {authorizer: aws_iam} "
            "admits only callers whom you let.",
        )


def _sentence(capability: Capability) -> str:
    return f"{capability.field}: {capability.how or capability.support}."
