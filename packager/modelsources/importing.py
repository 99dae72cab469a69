"""Import a model from wherever the user says it is."""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.packager.files import temporary_directory
from bentofn.packager.modelsources.bentoml import BentoMLSource
from bentofn.packager.modelsources.huggingface import HubSource
from bentofn.packager.modelsources.local import LocalSource
from bentofn.packager.modelsources.resolved import remember
from bentofn.packager.modelsources.source import Report, Source
from bentofn.packager.modelstore import import_model
from bentofn.packager.modelstore.policy import ANYTHING_SAFE, Policy
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError

SOURCES: tuple[Source, ...] = (HubSource(), BentoMLSource(), LocalSource())
"""The first that knows what the user wrote is asked; the last takes everything."""


def import_source(
    store: Store,
    text: str,
    name: str | None = None,
    version: str | None = None,
    labels: Mapping[str, str] | None = None,
    *,
    policy: Policy = ANYTHING_SAFE,
    report: Report = lambda _: None,
) -> Entry:
    """Put a model into the store; importing the same again changes nothing.

    Args:
        store: The store.
        text: A path, a model of BentoML's store or its export, or ``hf:org/name@revision``.
        name: Its name; by default the source's.
        version: Its version; by default the source's, else the digest of its content.
        labels: Labels, added to the source's.
        policy: What the files may hold.
        report: Told what takes time, and what was converted or left out.

    Raises:
        UserError: There is no such model, it cannot be read, or a file of it is refused.
    """
    source = next(source for source in SOURCES if source.detects(text))
    with store.using(), temporary_directory(store.home.directory(store.home.cache)) as scratch:
        found = source.fetch(text, scratch, report)
        try:
            entry = import_model(
                store,
                found.files,
                name or found.name,
                version or found.version,
                {**found.labels, **(labels or {})},
                found.metadata,
                origin=found.origin,
                policy=policy,
                report=report,
            )
        except UserError as error:
            # What was unpacked is gone when the user reads this.
            raise UserError(str(error).replace(str(scratch), text)) from error
    remember(store, text, entry)
    return entry
