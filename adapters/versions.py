"""Which version a command means."""

from __future__ import annotations

from collections.abc import Sequence

from bentofn.adapters.capabilities import Capabilities
from bentofn.adapters.statuses import Version
from bentofn.runtime.errors import UserError


def choose(versions: Sequence[Version], function: str, number: int | None) -> int:
    """The version that a rollback or a promotion is to.

    Args:
        versions: Those that there are.
        function: Whose, for messages.
        number: The one that was asked for; None for the one before the live one.

    Raises:
        UserError: There is none.
    """
    known = sorted(version.number for version in versions)
    if number is not None:
        if number not in known:
            raise UserError(
                f"Function {function!r} has no version {number}; it has "
                f"{', '.join(map(str, known)) or 'none'}."
            )
        return number
    if not versions:
        raise UserError(f"Function {function!r} has no versions that its target tells of.")
    live = max(versions, key=lambda version: version.weight).number
    before = [number for number in known if number < live]
    if not before:
        raise UserError(f"Function {function!r} has no version before {live}, the live one.")
    return before[-1]


def refused_share(capabilities: Capabilities, function: str) -> UserError:
    """Why a version gets all of a function's requests or none, and what to do."""
    how = capabilities.of("promote").how
    return UserError(
        f"Target {capabilities.target} cannot give a version of {function!r} a share of the "
        f"requests: {how}."
    )
