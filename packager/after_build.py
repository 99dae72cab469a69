"""What is made of a bento once it is in the store: artifacts that refer to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.home import Home
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import referrers
from bentofn.packager.trust.kinds import IN_TOTO, SBOM


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


def _describe(stored: StoredBento) -> tuple[str, ...]:
    """Attach an SBOM and the provenance, those that are not there."""
    found = {each.artifact_type for each in referrers(stored.store, stored.entry.digest)}
    if IN_TOTO not in found:
        from bentofn.packager.trust.provenance import attach_provenance

        attach_provenance(stored.store, stored.entry)
    if SBOM not in found:
        from bentofn.packager.trust.sbom import attach_sbom, can_make_sbom

        if can_make_sbom():  # else bentofn sbom says what it lacks, where one is asked for
            attach_sbom(stored.home, stored.store, stored.entry)
    return ()


def _sign(stored: StoredBento) -> tuple[str, ...]:
    signer = stored.inputs.options.signer
    if signer is not None:
        from bentofn.packager.trust.signing import sign

        sign(stored.store, stored.entry, signer)
    return ()


def _trace(stored: StoredBento) -> tuple[str, ...]:
    if not stored.inputs.slimming.traced:
        return ()
    from bentofn.packager.prefetch.artifact import trace_step

    return trace_step(stored)


STEPS: tuple[tuple[str, AfterBuild], ...] = (
    ("describe", _describe),
    ("trace", _trace),
    ("sign", _sign),
)
"""Name and function, in order; the signature is last, because it may cover the others."""
