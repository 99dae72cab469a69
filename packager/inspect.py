"""What is inside a bento's layers, and what differs between two bentos; nothing is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bentofn.packager.files import CHUNK
from bentofn.packager.layers.stream import DamagedLayer, Member, read_members
from bentofn.packager.modelstore.safetensors_file import digests_of, read_header_of
from bentofn.packager.prefetch.artifact import find_prefetch
from bentofn.packager.prefetch.trace import HotFile, Trace
from bentofn.packager.reasons import Reasons, read_reasons
from bentofn.packager.store import Descriptor, Entry, LayerInfo, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.packager.store.descriptors import LAYER_PATH, by_file
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX

Change = Literal["same", "changed", "added", "removed"]

_ALWAYS = ("runtime", "code")
"""Kinds of layers that a node fetches whole before anything starts, as models' small files."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model's layer.

    Args:
        name: Its name.
        dtype: The safetensors format's name, such as ``BF16``.
        shape: Its dimensions.
        digest: ``blake3:HEX`` of its bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class File:
    """A file or link of a layer.

    Args:
        path: Its path in the layer.
        size: Bytes of its content; 0 for a link.
        digest: ``sha256:HEX`` of its content, or ``link:TARGET``.
        why: Who wanted it.
        hot: Bytes of it that a first answer needs; None where that was not traced.
        asked: How a first answer asked for it: ``stat``, ``open``, ``read``.
    """

    path: str
    size: int
    digest: str
    why: str = ""
    hot: int | None = None
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerContent:
    """A layer and what is in it.

    Args:
        name: Its title.
        kind: ``env``, ``bytecode``, ``runtime``, ``code`` or ``model``.
        digest: Digest of its blob.
        packed: Bytes of its blob.
        unpacked: Bytes of its files.
        files: Its files and links, the largest first.
        why: Who wanted it.
        hot: Bytes of its files that a first answer needs, unpacked; None where that was not traced.
        parts: How many blobs it is.
        tensors: Of a safetensors file, its tensors in the order of their data.
    """

    name: str
    kind: str
    digest: str
    packed: int
    unpacked: int
    files: tuple[File, ...]
    why: str = ""
    hot: int | None = None
    parts: int = 1
    tensors: tuple[Tensor, ...] = ()

    @property
    def cold(self) -> int | None:
        """Bytes of its files that a first answer does not need."""
        return None if self.hot is None else self.unpacked - self.hot


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


def inspect(store: Store, entry: Entry, layer: str | None = None) -> list[LayerContent]:
    """Read a bento's layers.

    Args:
        store: The store.
        entry: The bento.
        layer: Only the layers of this title.

    Raises:
        UserError: There is no such layer, or one is damaged.
    """
    found = [(parts, LayerInfo.of_parts(parts)) for parts in by_file(store.descriptors(entry))]
    chosen = [(parts, info) for parts, info in found if layer in (None, info.name)]
    if not chosen and layer is not None:
        raise UserError(
            f"{entry.tag} has no layer {layer!r}; "
            f"its layers are {', '.join(info.name for _, info in found)}."
        )
    wanted = _Wanted.of(store, entry)
    return [_content(store, parts, info, wanted) for parts, info in chosen]


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


@dataclass(frozen=True)
class _Wanted:
    """What is known of a bento's files beside its layers."""

    reasons: Reasons
    hot: Mapping[str, HotFile] | None

    @classmethod
    def of(cls, store: Store, entry: Entry) -> _Wanted:
        reasons = read_reasons(store, store.bento(entry), store.descriptors(entry))
        prefetch = find_prefetch(store, entry)
        if prefetch is None:
            return cls(reasons, None)
        files = Trace.from_json(prefetch.trace).files
        return cls(reasons, {f"{ARCHIVE_PREFIX}/{file.path}": file for file in files})

    def file(self, info: LayerInfo, member: Member, *, always: bool) -> File:
        found = None if self.hot is None else self.hot.get(member.path)
        hot = None if self.hot is None else found.bytes if found else 0
        if self.hot is not None and always:
            hot = member.size
        return File(
            member.path,
            member.size,
            member.digest,
            self.reasons.of_file(info.kind, info.name, member.path),
            hot,
            found.why if found else (),
        )


def _content(
    store: Store, parts: Sequence[Descriptor], info: LayerInfo, wanted: _Wanted
) -> LayerContent:
    members = sorted(_members(store, parts), key=lambda member: (-member.size, member.path))
    always = info.kind in _ALWAYS or (info.kind == "model" and parts[0].is_archive)
    files = tuple(wanted.file(info, member, always=always) for member in members)
    hot = [file.hot for file in files if file.hot is not None]
    return LayerContent(
        name=info.name,
        kind=info.kind,
        digest=info.digest,
        packed=info.size,
        unpacked=sum(file.size for file in files),
        files=files,
        why=wanted.reasons.of_layer(info.kind, info.name, [file.path for file in files]),
        hot=None if wanted.hot is None else sum(hot),
        parts=info.parts,
        tensors=_tensors(store, parts),
    )


def _members(store: Store, parts: Sequence[Descriptor]) -> list[Member]:
    first = parts[0]
    if first.is_archive:
        path = store.blob_path(first.digest)
        try:
            return list(read_members(path, first.media_type, first.digest))
        except DamagedLayer as error:
            raise _damaged(first) from error
    for part in parts:
        _verify(store, part)
    info = LayerInfo.of_parts(parts)
    return [Member(first.annotations.get(LAYER_PATH, ""), info.size, info.digest)]


def _verify(store: Store, blob: Descriptor) -> None:
    try:
        with store.blob_path(blob.digest).open("rb") as file:
            digest, _ = hash_stream(file)
    except FileNotFoundError as error:
        raise _damaged(blob) from error
    if digest != blob.digest:
        raise _damaged(blob)


def _tensors(store: Store, parts: Sequence[Descriptor]) -> tuple[Tensor, ...]:
    path = parts[0].annotations.get(LAYER_PATH, "")
    if not path.endswith(".safetensors"):
        return ()
    paths = [store.blob_path(part.digest) for part in parts]
    header = read_header_of(paths[0], Path(path), sum(part.size for part in parts))
    digests = digests_of(header, _chunks(paths, header.data_start))
    return tuple(
        Tensor(name, info.dtype, info.shape, digests[name]) for name, info in header.tensors.items()
    )


def _chunks(paths: Sequence[Path], start: int) -> Iterator[bytes]:
    """The bytes of files one after another, from an offset in the first."""
    for path in paths:
        with path.open("rb") as file:
            file.seek(start if path is paths[0] else 0)
            while chunk := file.read(CHUNK):
                yield chunk


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
    files = _file_changes(_members(store, old), _members(store, new))
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


def _damaged(blob: Descriptor) -> UserError:
    return UserError(
        f"The layer {LayerInfo.of(blob).name!r} ({blob.digest}) is damaged or missing; "
        "build or pull the bento again."
    )
