"""The shell around a file system: the descriptor of ``/dev/fuse``, the mount, the threads."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

from bentofn.packager.fuse import protocol
from bentofn.packager.fuse.filesystem import FileSystem, Watcher
from bentofn.packager.fuse.protocol import MalformedRequestError, Opcode
from bentofn.packager.fuse.tree import Node, Tree
from bentofn.packager.roots.mounts import mount_fuse, unmount
from bentofn.runtime.errors import UserError

THREADS = 16
"""Requests answered at once: some wait for the network and must not hold up the others."""


class Server:
    """Serves a tree at a directory, read-only.

    Args:
        tree: It.
        watcher: Is told what is asked for.
        list_attributes: See :func:`bentofn.packager.fuse.protocol.init_reply`.

    Raises:
        UserError: There is no ``/dev/fuse`` that this process may open.
    """

    def __init__(self, tree: Tree, watcher: Watcher, *, list_attributes: bool = True) -> None:
        try:
            self._fd = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UserError(f"Cannot open /dev/fuse: {reason}.") from error
        self._warmer = _Warmer(self._fd, watcher)
        self._system = FileSystem(tree, self._warmer, list_attributes=list_attributes)
        self._threads = [
            threading.Thread(target=self._serve, name=f"bentofn-fuse-{number}", daemon=True)
            for number in range(THREADS)
        ]

    def mount(self, target: Path) -> None:
        """Mount it and begin to serve; this process has a private mount namespace.

        Raises:
            UserError: It cannot be mounted.
        """
        mount_fuse(self._fd, target)
        for thread in self._threads:
            thread.start()

    def unmount(self, target: Path) -> None:
        """Take the mount away; whoever has files open is served until they are closed."""
        unmount(target)

    def wait(self) -> None:
        """Wait until the kernel has no more use for it."""
        for thread in self._threads:
            thread.join()
        os.close(self._fd)

    def _serve(self) -> None:
        while True:
            try:
                request = protocol.parse(os.read(self._fd, protocol.BUFFER))
            except MalformedRequestError:
                continue
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue  # the request was called off before it was read
                return  # ENODEV: it is not mounted any more
            answer = self._system.answer(request)
            if answer is not None:
                with suppress(OSError):  # ENOENT: called off meanwhile
                    os.write(self._fd, answer)
            if request.opcode == Opcode.DESTROY:
                return


class _Warmer:
    """Gives the kernel a file's hot pages before the file's first open is answered.

    Nobody can be reading the file then, so that the kernel has none of its pages locked: giving it
    one that it waits for would wait in turn.
    """

    def __init__(self, fd: int, watcher: Watcher) -> None:
        self._fd = fd
        self._watcher = watcher
        self._turns: dict[int, threading.Lock] = {}
        self._warm: set[int] = set()

    def found(self, node: Node) -> None:
        self._watcher.found(node)

    def read(self, node: Node, offset: int, size: int) -> None:
        self._watcher.read(node, offset, size)

    def opened(self, node: Node) -> None:
        self._watcher.opened(node)
        if node.number in self._warm:
            return
        with self._turns.setdefault(node.number, threading.Lock()):
            if node.number not in self._warm and node.content is not None:
                for offset, data in node.content.hot():
                    self._give(node.number, offset, data)
                self._warm.add(node.number)

    def _give(self, number: int, offset: int, data: bytes) -> None:
        notice = protocol.store_notice(number, offset, len(data))
        with suppress(OSError):  # no memory, or forgotten: it will ask
            os.writev(self._fd, [notice, data])
