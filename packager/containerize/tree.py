"""The files of an image, from the headers of its layers: nothing is unpacked."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, cast

from bentofn.packager.containerize.blob import Layer, damaged, open_chunks
from bentofn.packager.layers.stream import (
    UNREADABLE,
    HashingReader,
    bounded,
    decompressor,
    open_archive,
)
from bentofn.runtime.errors import UserError

Kind = Literal["file", "dir", "link", "other"]

SMALL = ("etc/passwd", "etc/group")
"""Files whose content is kept."""

MAX_SMALL = 1 << 20
MAX_ENTRIES = 5_000_000
_MOST_LINKS = 40
"""Links that are followed for one path, as Linux does."""

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True)
class Node:
    """Something in the tree.

    Args:
        kind: What it is.
        mode: Its mode bits.
        target: Where a link points.
    """

    kind: Kind
    mode: int = 0o755
    target: str = ""


@dataclass(frozen=True)
class Tree:
    """The files of an image when all layers are laid over each other.

    Args:
        nodes: Path without a leading slash to what is there.
        small: Content of the :data:`SMALL` files that are there.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)

    def resolve(self, path: str) -> str | None:
        """Where a path leads when the image is the root of a process; None: nowhere."""
        pending = [part for part in reversed(path.split("/")) if part]
        here: list[str] = []
        followed = 0
        while pending:
            part = pending.pop()
            if part == ".":
                continue
            if part == "..":
                here = here[:-1]
                continue
            node = self.nodes.get("/".join((*here, part)))
            if node is None:
                return None
            if node.kind != "link":
                here.append(part)
                continue
            followed += 1
            if followed > _MOST_LINKS:
                return None
            if node.target.startswith("/"):
                here = []
            pending += [part for part in reversed(node.target.split("/")) if part]
        return "/".join(here)

    def file(self, path: str) -> str | None:
        """The regular file that a path leads to, or None."""
        found = self.resolve(path)
        node = self.nodes.get(found) if found is not None else None
        return found if node is not None and node.kind == "file" else None

    def content(self, path: str) -> bytes | None:
        """The content of one of the :data:`SMALL` files."""
        found = self.file(path)
        return self.small.get(found) if found is not None else None


def read_tree(layers: Sequence[Layer], source: str) -> Tree:
    """Read the headers of an image's layers, and check the digests of their archives.

    Args:
        layers: The layers, the lowest first.
        source: Where they come from, for messages.

    Raises:
        UserError: A layer is damaged, or no archive.
    """
    tree = Tree()
    for layer in layers:
        for info, content in read_entries(layer, source):
            _apply(tree, info, content)
            if len(tree.nodes) > MAX_ENTRIES:
                raise UserError(f"{source} has too many files; use another base image.")
    return tree


def read_entries(layer: Layer, source: str) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    """The entries of a layer in their order, with the content of files, to be read at once.

    Raises:
        UserError: The layer is damaged, or no archive; what was given before is not to be trusted.
    """
    blob = layer.blob
    packed = HashingReader(open_chunks(blob.chunks()))
    try:
        plain = HashingReader(decompressor(packed, blob.descriptor.media_type))
        with open_archive(cast("BinaryIO", plain)) as archive:
            for info in bounded(archive):
                content = archive.extractfile(info) if info.isreg() else None
                yield info, cast("BinaryIO | None", content)
        digest = plain.finish()
        packed.finish()  # its own end is checked where its bytes come from
    except UNREADABLE as error:
        raise damaged(source, blob.descriptor.digest, "copy the image anew") from error
    if digest != layer.diff_id:
        raise UserError(
            f"{source} is damaged: the layer {blob.descriptor.digest} unpacks to {digest}, but "
            f"its config says {layer.diff_id}; do not use it."
        )


def entry_path(info: tarfile.TarInfo) -> str | None:
    """An entry's path without ``./`` and slashes at its ends; None for the root itself.

    Raises:
        UserError: It climbs out of the image.
    """
    parts = [part for part in info.name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UserError(
            f"This image is not safe to read: its entry {info.name!r} climbs out of it; "
            "do not use it."
        )
    return "/".join(parts) or None


def _apply(tree: Tree, info: tarfile.TarInfo, content: BinaryIO | None) -> None:
    named = entry_path(info)
    if named is None:
        return
    above, _, name = named.rpartition("/")
    folder = _folder(tree, above)
    path = f"{folder}/{name}".lstrip("/")
    if name == OPAQUE:
        _remove(tree, folder, keep=True)
    elif name.startswith(WHITEOUT):
        _remove(tree, f"{folder}/{name[len(WHITEOUT) :]}".lstrip("/"))
    else:
        node = _node(tree, info)
        before = tree.nodes.get(path)
        if before is not None and before.kind == "dir" and node.kind != "dir":
            _remove(tree, path)
        tree.nodes[path] = node
        tree.small.pop(path, None)
        if content is not None and path in SMALL and info.size <= MAX_SMALL:
            tree.small[path] = content.read()


def _folder(tree: Tree, path: str) -> str:
    """The folder that a path leads to; where there is none, it is one from now on."""
    found = tree.resolve(path)
    if found is not None and (not found or tree.nodes[found].kind == "dir"):
        return found
    pending = [part for part in reversed(path.split("/")) if part]
    here: list[str] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part in (".", ".."):
            here = here[:-1] if part == ".." else here
            continue
        step = "/".join((*here, part))
        node = tree.nodes.get(step)
        if node is not None and node.kind == "link" and followed < _MOST_LINKS:
            followed += 1
            here = [] if node.target.startswith("/") else here
            pending += [each for each in reversed(node.target.split("/")) if each]
            continue
        if node is None or node.kind != "dir":
            tree.nodes[step] = Node("dir")
            tree.small.pop(step, None)
        here.append(part)
    return "/".join(here)


def _node(tree: Tree, info: tarfile.TarInfo) -> Node:
    if info.isdir():
        return Node("dir", info.mode)
    if info.issym():
        return Node("link", info.mode, info.linkname)
    if info.islnk():
        return tree.nodes.get(tree.resolve(info.linkname) or "", Node("other"))
    return Node("file" if info.isreg() else "other", info.mode)


def _remove(tree: Tree, path: str, *, keep: bool = False) -> None:
    below = f"{path}/" if path else ""
    for found in [each for each in tree.nodes if each.startswith(below)]:
        del tree.nodes[found]
        tree.small.pop(found, None)
    if not keep:
        tree.nodes.pop(path, None)
        tree.small.pop(path, None)
