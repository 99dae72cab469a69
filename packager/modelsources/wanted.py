"""The models that a build or a project needs: found in the store, or brought into it."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.modelsources.bentoml import home_model, read_model
from bentofn.packager.modelsources.resolved import find
from bentofn.packager.modelsources.source import Report
from bentofn.packager.modelstore import describe_model
from bentofn.packager.modelstore.policy import Policy
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.modelinfo import read_time
from bentofn.runtime.models import HUB_PREFIX


def find_model(store: Store, tag: str, report: Report = lambda _: None) -> Entry:
    """The model that a tag means now; of BentoML's own store it is imported on the way.

    Args:
        store: The store.
        tag: ``name:version``, ``name:latest`` or ``name``.
        report: Told what is imported.

    Raises:
        UserError: Neither store has it, and the message says how to import it; or it is refused.
    """
    entry = find(store, tag)
    folder = home_model(tag)
    if folder is not None and _is_wanted(store, entry, folder):
        from bentofn.packager.modelsources.importing import import_source

        policy = Policy(pickle_option=f"`bentofn models import --allow-pickle {folder}`")
        return import_source(store, str(folder), policy=policy, report=report)
    if entry is None:
        name, _, version = tag.partition(":")
        option = f" --version {version}" if version not in ("", "latest") else ""
        raise UserError(
            f"The model {tag} is not in the model store; import it with "
            f"`bentofn models import PATH --name {name}{option}`."
        )
    return entry


def _is_wanted(store: Store, entry: Entry | None, folder: Path) -> bool:
    """Whether a model of BentoML's store is what the tag means, rather than what ours has."""
    if entry is None:
        return True
    held = describe_model(store, entry).origin
    if held.get("source") != "bentoml" or store.find("model", f"{entry.name}:{folder.name}"):
        return False
    # It came from there, and may have been made anew since.
    made = read_model(folder).origin.get("creation_time")
    return read_time(made) > read_time(held.get("creation_time"))


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
        return find_model(store, wanted, report)
    entry = None if refresh else find(store, wanted)
    if entry is None:
        from bentofn.packager.modelsources.importing import import_source

        entry = import_source(store, wanted, report=report)
    return entry
