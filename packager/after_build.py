"""What is made of a bento once it is in the store: artifacts that refer to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.home import Home
from bentofn.packager.store import Entry, Store


@dataclass(frozen=True)
class StoredBento:
    """A bento that a build has just stored, or found unchanged.

    Args:
        home: The home.
        store: Its store, in use.
        entry: The bento.
        inputs: What it was made from.
        reused: Whether nothing had changed since it was built before; a step then does only what
            is missing, and loads nothing heavy to find that out.
        report: Told what takes time.
    """

    home: Home
    store: Store
    entry: Entry
    inputs: BuildInputs
    reused: bool
    report: Callable[[str], None]


AfterBuild = Callable[[StoredBento], tuple[str, ...]]
"""A step; returns what the user should know, one sentence each."""


def _sign(stored: StoredBento) -> tuple[str, ...]:
    signer = stored.inputs.options.signer
    if signer is not None:
        from bentofn.packager.trust.signing import sign

        sign(stored.store, stored.entry, signer)
    return ()


STEPS: tuple[tuple[str, AfterBuild], ...] = (("sign", _sign),)
"""Name and function, in order; the signature is last, because it may cover the others."""
