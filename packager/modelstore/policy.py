"""What a user allows a model to hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """What the command line says of the files that are imported.

    Args:
        format: The format of the one file that is imported, instead of detecting it.
        trust: Types that a skops file may name besides those that skops trusts.
        allow_pickle: Whether pickles are carried as they are, and reported.
        pickle_option: How the command line says so, for messages.
        made_here: Whether the user's own code wrote the files for this store: they stay as they
            are, pickles too.
    """

    format: str | None = None
    trust: tuple[str, ...] = ()
    allow_pickle: bool = False
    pickle_option: str = "--allow-pickle"
    made_here: bool = False


ANYTHING_SAFE = Policy()
"""What is taken where the user says nothing."""
