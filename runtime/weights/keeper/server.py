"""The keeper: answers on a socket that only its user and root may open."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from bentofn.runtime.cuda.context import Context, Stream
from bentofn.runtime.cuda.devices import find_devices
from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.keeper.files import Kept, KeptFiles
from bentofn.runtime.weights.keeper.wire import (
    COPIED,
    NOT_KEPT,
    Request,
    is_trusted,
    receive_line,
    refusal,
)
from bentofn.runtime.weights.sources.local import identity_of

_REQUEST_TIME = 5.0
"""Seconds in which a request must have come."""

_BREATH = 0.1
"""Seconds before a connection is taken that there was no descriptor for."""


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
        """Answer for ever."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
                time.sleep(_BREATH)
                continue
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        """Answer, and hang up when nothing is copied any more."""
        descriptors: list[int] = []
        with connection, suppress(OSError):
            try:
                connection.settimeout(_REQUEST_TIME)
                if is_trusted(connection):
                    start, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 2)
                    self._obey(connection, start, descriptors)
            except (ValueError, CudaError) as error:
                print(f"bentofn: refused: {error}", file=sys.stderr, flush=True)
                connection.sendall(refusal(str(error)))
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _obey(self, connection: socket.socket, start: bytes, descriptors: list[int]) -> None:
        request = Request.decode(receive_line(connection, start))
        if len(descriptors) != 1:
            raise ValueError("The request came without its file.")
        identity = identity_of(descriptors[0])
        with self.files.using(identity) as kept:
            if kept is not None:
                self._copy(request, kept, identity[2])
                connection.sendall(COPIED)
                return
        connection.sendall(NOT_KEPT)
        connection.close()
        self.files.keep(descriptors[0], identity)

    def _copy(self, request: Request, kept: Kept, size: int) -> None:
        """Copy what is asked for; nothing is under way when it returns or raises.

        Args:
            request: What.
            kept: The file.
            size: Its bytes.

        Raises:
            ValueError: It asks for what is not there.
            CudaError: The driver refuses, or a copy failed.
        """
        if request.gpu not in self._numbers:
            raise ValueError(f"The request is for {request.gpu!r}, a GPU that the keeper has not.")
        with self._context(self._numbers[request.gpu]) as context, ExitStack() as stack:
            base = context.open_exported(request.handle)
            stack.callback(context.close_exported, base)
            request.check(size, context.allocation(base)[1])
            stream = Stream.create(context)
            stack.callback(stream.destroy)
            stack.callback(stream.synchronize)
            for offset, to, length in request.ranges:
                stream.copy_in(base + request.offset + to, kept.address + offset, length)

    def _context(self, number: int) -> Context:
        with self._lock:
            if number not in self._contexts:
                self._contexts[number] = Context(self._library, number)
            return self._contexts[number]


def listen(path: Path) -> socket.socket:
    """A socket that only this user and root may open; one that a dead keeper left is replaced.

    Raises:
        UserError: There cannot be one.
    """
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        _make_way(path)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise UserError(f"Cannot listen at {path}: {error.strerror or error}.") from error
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def _make_way(path: Path) -> None:
    """Remove a socket that nobody listens at."""
    with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as other:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UserError(f"{path} is a file, and no socket of a keeper's; choose another name.")
        try:
            other.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise UserError(f"Another keeper listens at {path}; end it, or choose another name.")
