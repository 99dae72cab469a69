"""Answers the kernel's requests from a tree: a request in, a reply out."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from bentofn.packager.fuse import protocol
from bentofn.packager.fuse.protocol import (
    UNANSWERED,
    DirectoryEntry,
    Opcode,
    Request,
)
from bentofn.packager.fuse.tree import Node, Tree


class Watcher(Protocol):
    """Is told what the kernel asks for, from any thread."""

    def found(self, node: Node) -> None:
        """A path was looked up and led to a node."""

    def opened(self, node: Node) -> None:
        """A file is opened, and is not yet read."""

    def read(self, node: Node, offset: int, size: int) -> None:
        """So many bytes of a file were read."""


class FileSystem:
    """A read-only file system.

    Args:
        tree: What it holds.
        watcher: Is told what is asked for.
        list_attributes: See :func:`bentofn.packager.fuse.protocol.init_reply`.
    """

    def __init__(self, tree: Tree, watcher: Watcher, *, list_attributes: bool) -> None:
        self.tree = tree
        self._watcher = watcher
        self._list_attributes = list_attributes
        self._answers: dict[int, Callable[[Request], bytes]] = {
            Opcode.INIT: self._init,
            Opcode.LOOKUP: self._lookup,
            Opcode.GETATTR: self._getattr,
            Opcode.READLINK: self._readlink,
            Opcode.OPEN: self._open,
            Opcode.READ: self._read,
            Opcode.OPENDIR: self._opendir,
            Opcode.READDIR: self._readdir,
            Opcode.READDIRPLUS: self._readdirplus,
            Opcode.STATFS: self._statfs,
            Opcode.RELEASE: self._done,
            Opcode.RELEASEDIR: self._done,
            Opcode.FLUSH: self._done,
            Opcode.DESTROY: self._done,
        }

    def answer(self, request: Request) -> bytes | None:
        """The reply to a request, or None where the kernel wants none; any thread may ask."""
        if request.opcode in UNANSWERED:
            return None
        answer = self._answers.get(request.opcode)
        if answer is None:
            return protocol.reply(request.unique, error=errno.ENOSYS)
        try:
            return protocol.reply(request.unique, answer(request))
        except OSError as error:
            return protocol.reply(request.unique, error=error.errno or errno.EIO)

    def _init(self, request: Request) -> bytes:
        return protocol.init_reply(request.body, list_attributes=self._list_attributes)

    def _lookup(self, request: Request) -> bytes:
        folder = self._directory(request)
        node = folder.children.get(protocol.name_of(request.body))
        if node is None:
            return protocol.entry_reply(None)
        self._watcher.found(node)
        return protocol.entry_reply(node.attributes)

    def _getattr(self, request: Request) -> bytes:
        return protocol.attributes_reply(self.tree.node(request.node).attributes)

    def _readlink(self, request: Request) -> bytes:
        node = self.tree.node(request.node)
        if not node.target:
            raise OSError(errno.EINVAL, "no link")
        return node.target

    def _open(self, request: Request) -> bytes:
        node = self.tree.node(request.node)
        if node.content is None:
            raise OSError(errno.EISDIR, "no file")
        self._watcher.opened(node)
        return protocol.open_reply()

    def _read(self, request: Request) -> bytes:
        node = self.tree.node(request.node)
        if node.content is None:
            raise OSError(errno.EISDIR, "no file")
        offset, size = protocol.read_range(request.body)
        data = node.content.read(offset, size)
        self._watcher.read(node, offset, len(data))
        return data

    def _opendir(self, request: Request) -> bytes:
        self._directory(request)
        return protocol.open_reply(directory=True)

    def _readdir(self, request: Request) -> bytes:
        return self._list(request, attributes=False)

    def _readdirplus(self, request: Request) -> bytes:
        return self._list(request, attributes=True)

    def _list(self, request: Request, *, attributes: bool) -> bytes:
        folder = self._directory(request)
        offset, size = protocol.read_range(request.body)
        entries = islice(enumerate(self._entries(folder), start=1), offset, None)
        return protocol.listing(entries, size, attributes=attributes)

    def _entries(self, folder: Node) -> Iterator[DirectoryEntry]:
        yield DirectoryEntry(b".", folder.attributes)
        yield DirectoryEntry(b"..", self.tree.node(folder.parent).attributes)
        for name, node in folder.children.items():
            yield DirectoryEntry(name, node.attributes)

    def _statfs(self, _: Request) -> bytes:
        size = sum(node.attributes.size for node in self.tree.nodes())
        return protocol.statfs_reply(size, len(self.tree))

    def _done(self, _: Request) -> bytes:
        return b""

    def _directory(self, request: Request) -> Node:
        node = self.tree.node(request.node)
        if not stat.S_ISDIR(node.mode):
            raise OSError(errno.ENOTDIR, "no directory")
        return node
