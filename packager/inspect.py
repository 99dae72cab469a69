"""What is inside a bento's layers; nothing is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import CHUNK
from bentofn.packager.layers.stream import DamagedLayer, Member, read_members
from bentofn.packager.modelstore.safetensors_file import digests_of
from bentofn.packager.prefetch.artifact import find_prefetch
from bentofn.packager.prefetch.trace import HotFile, Trace
from bentofn.packager.reasons import Reasons, read_reasons
from bentofn.packager.store import Descriptor, Entry, LayerInfo, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.packager.store.descriptors import LAYER_PATH, by_file
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.weights.header import read_header_of

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
    members = sorted(members_of(store, parts), key=lambda member: (-member.size, member.path))
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


def members_of(store: Store, parts: Sequence[Descriptor]) -> list[Member]:
    """The files of a layer; that of a model is one file in several parts.

    Raises:
        UserError: It is damaged or missing.
    """
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


def _damaged(blob: Descriptor) -> UserError:
    return UserError(
        f"The layer {LayerInfo.of(blob).name!r} ({blob.digest}) is damaged or missing; "
        "build or pull the bento again."
    )
