"""The keeper: answers on a socket that only its user and root may open."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

from bentofn.runtime.cuda.context import Context, Stream
from bentofn.runtime.cuda.devices import find_devices
from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.weights.keeper.client import COPIED
from bentofn.runtime.weights.keeper.files import Kept, KeptFiles
from bentofn.runtime.weights.keeper.wire import Request, is_trusted, receive_line
from bentofn.runtime.weights.sources.files import identity_of

NOT_KEPT = b'{"copied":false}\n'
_REQUEST_TIME = 5.0
"""Seconds in which a request must have come."""


class Keeper:
    """Keeps files and copies them.

    Args:
        library: The driver's.
        budget: Bytes of files that may be pinned.

    Raises:
        CudaError: There is no GPU.
    """

    def __init__(self, library: Library, budget: int) -> None:
        self._library = library
        self._contexts = {0: Context(library, 0)}
        self._numbers = {device.id: device.number for device in find_devices(library)}
        self.files = KeptFiles(self._contexts[0], budget)
        self._lock = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        """Answer until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        # Whoever asked is told, or finds the connection closed, and loads plainly.
        with connection, suppress(OSError, ValueError, CudaError):
            try:
                connection.settimeout(_REQUEST_TIME)
                if not is_trusted(connection):
                    return
                start, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 2)
                if not start or len(descriptors) != 1:
                    return
                identity = identity_of(descriptors[0])
                request = Request.decode(receive_line(connection, start), identity[2])
                with self.files.using(identity) as kept:
                    if kept is not None:
                        self._copy(request, kept)
                        connection.sendall(COPIED)
                        return
                connection.sendall(NOT_KEPT)
                connection.close()
                self.files.keep(descriptors[0], identity)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _copy(self, request: Request, kept: Kept) -> None:
        if request.gpu not in self._numbers:
            raise ValueError("no such GPU")
        with self._context(self._numbers[request.gpu]) as context:
            base = context.open_exported(request.handle)
            try:
                stream = Stream.create(context)
                try:
                    for offset, to, length in request.ranges:
                        target = base + request.offset + to
                        stream.copy_in(target, kept.address + offset, length)
                finally:
                    stream.synchronize()
                    stream.destroy()
            finally:
                context.close_exported(base)

    def _context(self, number: int) -> Context:
        with self._lock:
            if number not in self._contexts:
                self._contexts[number] = Context(self._library, number)
            return self._contexts[number]


def listen(path: Path) -> socket.socket:
    """A socket that only this user and root may open; one that a dead keeper left is replaced.

    Raises:
        OSError: There cannot be one.
    """
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with socket.socket(socket.AF_UNIX) as other:
            try:
                other.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            except FileNotFoundError:
                pass
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(64)
    return listener
