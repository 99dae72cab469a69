"""The CRIU that snapshots are taken and restored with."""

from __future__ import annotations

from bentofn.packager.snapshot.criu.check import SETUP, why_no_host, why_unfit
from bentofn.packager.snapshot.criu.installed import (
    VARIABLE,
    Criu,
    criu_at,
    installed_criu,
    named_criu,
)
from bentofn.runtime.errors import UserError

__all__ = ["Criu", "CriuUnfit", "find_criu"]


class CriuUnfit(UserError):  # noqa: N818 - what it is, not that it happened
    """No CRIU can be used here.

    Args:
        sentence: Why, and what to do.
        mend: The command that mends it, or None if no single one does.
    """

    def __init__(self, sentence: str, mend: str | None = None) -> None:
        super().__init__(sentence)
        self.mend = mend


def find_criu() -> Criu:
    """The first fit one of: ``$BENTOFN_CRIU``, what the set-up installed, the system's.

    Asked again, it costs a few looks at files.

    Raises:
        CriuUnfit: There is none.
    """
    refusal = why_no_host()
    if refusal is not None:
        raise CriuUnfit(refusal)
    named = named_criu()
    if named is not None:
        criu = criu_at(named)
        if criu is None:
            raise CriuUnfit(f"{VARIABLE} names {named}, which is no CRIU that runs; correct it.")
        refusal = why_unfit(criu)
        if refusal is not None:
            raise CriuUnfit(f"{refusal} {VARIABLE} names it; unset that, so that another is found.")
        return criu
    first: str | None = None
    for criu in installed_criu():
        refusal = why_unfit(criu)
        if refusal is None:
            return criu
        first = first or refusal
    first = first or f"This host has no CRIU; {SETUP} installs a fit one."
    raise CriuUnfit(first, SETUP if SETUP in first else None)
