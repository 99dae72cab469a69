"""What a file system holds: directories, links, and files whose content is read on demand."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bentofn.packager.fuse.protocol import ROOT, Attributes


class Content(Protocol):
    """The bytes of one file."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, offset: int, size: int) -> bytes:
        """Read a range, cut at the file's end; any thread may.

        Raises:
            OSError: It cannot be read.
        """

    def hot(self) -> Iterable[tuple[int, bytes]]:
        """Ranges worth having in the kernel's cache from the start, from page boundaries on."""


@dataclass(frozen=True)
class FileContent:
    """A file on this machine's disk.

    Args:
        path: It.
        size: Its bytes.
    """

    path: Path
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """See :class:`Content`."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)

    def hot(self) -> Iterable[tuple[int, bytes]]:
        """See :class:`Content`."""
        return ()


@dataclass
class Node:
    """A file, a directory or a symbolic link.

    Args:
        number: Its number, unique in the tree.
        parent: The number of its directory; the root's is its own.
        path: Where it stands, below the root.
        mode: Its kind and permissions.
        content: A file's bytes.
        target: What a link points to.
        children: What a directory holds, by name.
    """

    number: int
    parent: int
    path: str
    mode: int
    content: Content | None = None
    target: bytes = b""
    children: dict[bytes, Node] = field(default_factory=dict)

    @property
    def attributes(self) -> Attributes:
        """What ``stat`` shows."""
        size = self.content.size if self.content else len(self.target)
        return Attributes(self.number, self.mode, size)


class Tree:
    """A tree that is built once and then only read.

    A later file or link takes the place of an earlier one, as in layers.
    """

    def __init__(self) -> None:
        self.root = Node(ROOT, ROOT, "", stat.S_IFDIR | 0o755)
        self._nodes = {ROOT: self.root}

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, number: int) -> Node:
        """A node by its number.

        Raises:
            OSError: There is none.
        """
        found = self._nodes.get(number)
        if found is None:
            raise OSError(errno.ESTALE, "no such node")
        return found

    def nodes(self) -> Iterator[Node]:
        """Every node, parents first."""
        return iter(self._nodes.values())

    def add_directory(self, path: str) -> Node:
        """Make a directory and its parents, where they are not there."""
        node = self.root
        for name in path.split("/") if path else ():
            child = node.children.get(name.encode())
            if child is None:
                child = self._add(node, name, stat.S_IFDIR | 0o755)
            if not stat.S_ISDIR(child.mode):
                raise OSError(errno.ENOTDIR, "a file stands in the way", path)
            node = child
        return node

    def add_file(self, path: str, content: Content, *, executable: bool = False) -> Node:
        """Add a file."""
        folder, _, name = path.rpartition("/")
        mode = stat.S_IFREG | (0o755 if executable else 0o644)
        node = self._add(self.add_directory(folder), name, mode)
        node.content = content
        return node

    def add_link(self, path: str, target: str) -> Node:
        """Add a symbolic link."""
        folder, _, name = path.rpartition("/")
        node = self._add(self.add_directory(folder), name, stat.S_IFLNK | 0o777)
        node.target = target.encode()
        return node

    def _add(self, folder: Node, name: str, mode: int) -> Node:
        former = folder.children.get(name.encode())
        number = former.number if former else len(self._nodes) + ROOT
        path = f"{folder.path}/{name}" if folder.path else name
        node = Node(number, folder.number, path, mode)
        folder.children[name.encode()] = node
        self._nodes[number] = node
        return node


def plain_tree(places: Iterable[tuple[str, Path]]) -> Tree:
    """Directories of this machine as one tree.

    Args:
        places: Path in the tree to the directory that it shows; links in it are kept as links.
    """
    tree = Tree()
    for path, directory in places:
        _add_directory(tree, path, directory)
    return tree


def _add_directory(tree: Tree, path: str, directory: Path) -> None:
    tree.add_directory(path)
    for item in sorted(directory.iterdir()):
        inside = f"{path}/{item.name}" if path else item.name
        status = item.lstat()
        if stat.S_ISDIR(status.st_mode):
            _add_directory(tree, inside, item)
        elif stat.S_ISLNK(status.st_mode) and not _leads_to_a_blob(item):
            tree.add_link(inside, str(item.readlink()))
        else:
            size = item.stat().st_size
            executable = bool(status.st_mode & stat.S_IXUSR) and stat.S_ISREG(status.st_mode)
            tree.add_file(inside, FileContent(item, size), executable=executable)


def _leads_to_a_blob(link: Path) -> bool:
    # Where a model's file cannot be a hard link to its blob, it is an absolute symbolic one.
    return link.readlink().is_absolute()
