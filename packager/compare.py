"""What differs between two bentos; nothing is unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bentofn.packager.inspect import members_of
from bentofn.packager.layers.stream import Member
from bentofn.packager.store import Descriptor, Entry, LayerInfo, Store
from bentofn.packager.store.descriptors import by_file

Change = Literal["same", "changed", "added", "removed"]


@dataclass(frozen=True)
class FileChange:
    """A file that differs between two layers.

    Args:
        path: Its path in the layer.
        change: ``added``, ``removed`` or ``changed``.
        before: Bytes before; None where it was not there.
        after: Bytes after; None where it is gone.
    """

    path: str
    change: Change
    before: int | None
    after: int | None


@dataclass(frozen=True)
class LayerChange:
    """A layer of one or of both of two bentos.

    Args:
        name: Its title.
        kind: Its kind.
        change: What became of it.
        before: Bytes of its blob before; None where it was not there.
        after: Bytes of its blob after; None where it is gone.
        fetched: Bytes of it that a node holding the earlier bento must still fetch: of a model's
            file only the parts that differ.
        files: Of a changed layer, the files that differ.
    """

    name: str
    kind: str
    change: Change
    before: int | None
    after: int | None
    fetched: int = 0
    files: tuple[FileChange, ...] = ()


@dataclass(frozen=True)
class Difference:
    """What differs between two bentos.

    Args:
        layers: Every layer of either, in the order of the later bento, removed ones last.
        fetched: Bytes of the layers that a node holding the earlier bento must still fetch.
    """

    layers: tuple[LayerChange, ...]
    fetched: int


def compare(store: Store, before: Entry, after: Entry) -> Difference:
    """Find what differs between two bentos; only layers that changed are read.

    Raises:
        UserError: A layer or a manifest is damaged.
    """
    old, new = store.descriptors(before), store.descriptors(after)
    by_name = {_key(parts): parts for parts in by_file(old)}
    digests = {blob.digest for blob in old}
    layers = by_file(new)
    changes = [_change(store, by_name.get(_key(parts)), parts, digests) for parts in layers]
    kept = {_key(parts) for parts in layers}
    gone = [parts for key, parts in by_name.items() if key not in kept]
    for parts in gone:
        info = LayerInfo.of_parts(parts)
        changes.append(LayerChange(info.name, info.kind, "removed", info.size, None))
    missing = {blob.digest: blob.size for blob in new if blob.digest not in digests}
    return Difference(tuple(changes), sum(missing.values()))


def _key(parts: Sequence[Descriptor]) -> tuple[str, str]:
    info = LayerInfo.of(parts[0])
    return info.kind, info.name


def _change(
    store: Store, old: Sequence[Descriptor] | None, new: Sequence[Descriptor], digests: set[str]
) -> LayerChange:
    now = LayerInfo.of_parts(new)
    missing = {part.digest: part.size for part in new if part.digest not in digests}
    fetched = sum(missing.values())
    if old is None:
        # The same bytes under another name need not be fetched, so it is the same layer.
        change: Change = "added" if missing else "same"
        before = None if missing else now.size
        return LayerChange(now.name, now.kind, change, before, now.size, fetched)
    was = LayerInfo.of_parts(old)
    if was.digest == now.digest:
        return LayerChange(now.name, now.kind, "same", was.size, now.size)
    files = _file_changes(members_of(store, old), members_of(store, new))
    return LayerChange(now.name, now.kind, "changed", was.size, now.size, fetched, files)


def _file_changes(old: Sequence[Member], new: Sequence[Member]) -> tuple[FileChange, ...]:
    before = {member.path: member for member in old}
    after = {member.path: member for member in new}
    changes = []
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if was is None or now is None:
            kind: Change = "added" if was is None else "removed"
        elif was.digest != now.digest:
            kind = "changed"
        else:
            continue
        sizes = (was.size if was else None, now.size if now else None)
        changes.append(FileChange(path, kind, *sizes))
    return tuple(changes)
