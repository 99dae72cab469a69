"""Write an EROFS image from a stream of entries, in one pass over their content.

Large files go to the image as they come. What is small (files, links, directories) waits in
memory until all entries are known, and stands beside its inode after the large files. The same
entries give the same bytes.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from bentofn.packager.erofs.ondisk import (
    BLOCK,
    NAME_MAX,
    SLOT,
    TARGET_MAX,
    Inode,
    Name,
    directory_size,
    encode_directory,
    encode_superblock,
    fits_inline,
)
from bentofn.packager.files import CHUNK
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.layers.unpack import not_a_directory, unsafe

_DIRECTORY, _FILE, _LINK = stat.S_IFDIR | 0o755, stat.S_IFREG, stat.S_IFLNK | 0o777


@dataclass(eq=False)
class _Node:
    """An entry of the tree; ``small`` is its content as far as that is not in blocks."""

    inode: Inode
    small: bytes = b""
    children: dict[bytes, _Node] = field(default_factory=dict)
    slot: int = 0

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.inode.mode)

    def names(self) -> list[bytes]:
        return sorted([b".", b"..", *self.children])


class ImageWriter:
    """A sink for layers (:class:`bentofn.packager.layers.unpack.LayerSink`) that makes an image.

    Args:
        out: A new file that can be sought in.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._out.seek(BLOCK)
        self._blocks = 1
        self._root = _Node(Inode(_DIRECTORY, 0))

    def directory(self, parts: tuple[str, ...]) -> None:
        """See :class:`bentofn.packager.layers.unpack.LayerSink`."""
        siblings, name = self._place(parts)
        if not siblings.setdefault(name, _Node(Inode(_DIRECTORY, 0))).is_directory:
            raise not_a_directory(parts)

    def link(self, parts: tuple[str, ...], target: str) -> None:
        """See :class:`bentofn.packager.layers.unpack.LayerSink`."""
        content = os.fsencode(target)
        if len(content) > TARGET_MAX:
            raise unsafe("/".join(parts), "links to a path that is too long")
        self._put(parts, _LINK, io.BytesIO(content), len(content))

    def file(self, parts: tuple[str, ...], content: BinaryIO, size: int, executable: bool) -> None:
        """See :class:`bentofn.packager.layers.unpack.LayerSink`."""
        self._put(parts, _FILE | (0o755 if executable else 0o644), content, size)

    def finish(self) -> None:
        """Write what has waited, and the superblock; the image is then whole."""
        nodes = _walk(self._root)
        for node in nodes:
            if node.is_directory:
                node.inode = _directory_inode(node)
        length = _assign_slots(nodes)
        for node, parent in nodes.items():
            if node.is_directory:
                self._fill(node, parent)
        start = self._blocks
        self._write_metadata(nodes, length)
        self._out.seek(0)
        self._out.write(encode_superblock(self._root.slot, len(nodes), self._blocks, start))
        self._out.seek(0, io.SEEK_END)

    def _put(self, parts: tuple[str, ...], mode: int, content: BinaryIO, size: int) -> None:
        siblings, name = self._place(parts)
        if name in siblings and siblings[name].is_directory:
            raise unsafe("/".join(parts), "replaces a folder")
        if fits_inline(size):
            node = _Node(Inode(mode, size, tail=size), content.read(size))
            whole = len(node.small) == size
        else:
            node = _Node(Inode(mode, size, block=self._blocks if size else 0))
            whole = self._copy(content, size)
        if not whole:
            raise DamagedLayer(f"{'/'.join(parts)} is cut short")
        siblings[name] = node

    def _place(self, parts: tuple[str, ...]) -> tuple[dict[bytes, _Node], bytes]:
        """The directory that an entry stands in, and its name there."""
        *above, name = map(os.fsencode, parts)
        if len(name) > NAME_MAX:
            raise unsafe("/".join(parts), "has a name that is too long")
        node = self._root
        for each in above:
            node = node.children[each]
        return node.children, name

    def _copy(self, content: BinaryIO, size: int) -> bool:
        """Copy content to blocks of its own; False if it is shorter."""
        left = size
        while left and (chunk := content.read(min(left, CHUNK))):
            self._out.write(chunk)
            left -= len(chunk)
        self._out.write(bytes(-size % BLOCK))
        self._blocks += -(-size // BLOCK)
        return not left

    def _fill(self, node: _Node, parent: _Node) -> None:
        """Write a directory's content, but its tail."""
        inodes = {**node.children, b".": node, b"..": parent}
        names = [Name(n, inodes[n].slot, inodes[n].inode.mode) for n in node.names()]
        content = encode_directory(names)
        tail = len(content) - node.inode.tail
        node.small = content[tail:]
        node.inode = replace(node.inode, block=self._blocks if tail else 0)
        self._copy(io.BytesIO(content), tail)

    def _write_metadata(self, nodes: Iterable[_Node], length: int) -> None:
        written = 0
        for number, node in enumerate(nodes, 1):
            start = node.slot * SLOT
            record = node.inode.encode(number) + node.small
            self._out.write(bytes(start - written) + record)
            written = start + len(record)
        self._out.write(bytes(length - written))
        self._blocks += length // BLOCK


def _walk(root: _Node) -> dict[_Node, _Node]:
    """Every node to the directory that it is in, directories before what they hold."""
    found = {root: root}
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for _, node in sorted(parent.children.items()):
            found[node] = parent
            if node.is_directory:
                waiting.append(node)
    return found


def _directory_inode(node: _Node) -> Inode:
    size = directory_size(node.names())
    tail = size % BLOCK
    links = 2 + sum(child.is_directory for child in node.children.values())
    return replace(node.inode, size=size, links=links, tail=tail if fits_inline(tail) else 0)


def _assign_slots(nodes: Iterable[_Node]) -> int:
    """Give each node its place in the metadata; returns bytes of that, whole blocks."""
    end = 0
    for node in nodes:
        end += -end % SLOT
        if end % BLOCK + node.inode.extent > BLOCK:
            end += -end % BLOCK
        node.slot = end // SLOT
        end += node.inode.extent
    return end + -end % BLOCK
