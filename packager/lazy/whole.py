"""What needs all blobs of a bento that may have been pulled lazily."""

from __future__ import annotations

from collections.abc import Callable

from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError


def whole_bento(store: Store, tag: str, report: Callable[[str], None] = lambda _: None) -> Entry:
    """A bento with all of its blobs: what is not here is fetched first.

    Args:
        store: The store.
        tag: ``name``, ``name:version`` or ``name:latest``.
        report: Told each blob that is fetched.

    Raises:
        UserError: There is no such bento, or the registry that has the rest refuses or fails.
    """
    entry = store.get("bento", tag)
    if not entry.lazy:
        return entry
    from bentofn.packager.lazy.complete import make_whole

    return make_whole(store, entry, report)


def refuse_lazy(entry: Entry) -> Entry:
    """Give a bento back whose blobs are all here.

    Raises:
        UserError: They are not; the message says how to fetch them.
    """
    if entry.lazy:
        raise UserError(
            f"{entry.tag} was pulled lazily, and not all of it is here yet; "
            f"fetch the rest with: bentofn pull {entry.lazy.removeprefix('http://')}."
        )
    return entry
