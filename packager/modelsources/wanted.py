"""The models that a build or a project needs: found in the store, or brought into it."""

from __future__ import annotations

from bentofn.packager.modelsources.resolved import find
from bentofn.packager.modelsources.source import Report
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.models import HUB_PREFIX


def find_model(store: Store, tag: str) -> Entry:
    """The model that a tag means now.

    Raises:
        UserError: The store has none; the message says how to import it.
    """
    entry = find(store, tag)
    if entry is None:
        name, _, version = tag.partition(":")
        option = f" --version {version}" if version not in ("", "latest") else ""
        raise UserError(
            f"The model {tag} is not in the model store; import it with "
            f"`bentofn models import PATH --name {name}{option}`."
        )
    return entry


def require_model(store: Store, wanted: str, report: Report, *, refresh: bool = False) -> Entry:
    """The model that a tag or a source means now; a source's is fetched if it is not there.

    Args:
        store: The store.
        wanted: A tag, or ``hf:org/name@revision``.
        report: Told what takes time.
        refresh: Whether a branch of the hub is looked up again.

    Raises:
        UserError: There is no such model, or it cannot be fetched.
    """
    if not wanted.startswith(HUB_PREFIX):
        return find_model(store, wanted)
    entry = None if refresh else find(store, wanted)
    if entry is None:
        from bentofn.packager.modelsources.importing import import_source

        entry = import_source(store, wanted, report=report)
    return entry
