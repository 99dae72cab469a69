"""An instance's side: asks the keeper, and does without it where that is not to be had."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from contextlib import suppress

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.devices import find_devices
from bentofn.runtime.cuda.library import CudaError
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.keeper.wire import (
    COPIED,
    MOST_RANGES,
    VARIABLE,
    Request,
    is_trusted,
)
from bentofn.runtime.weights.plan import Plan
from bentofn.runtime.weights.sources.files import FileSource

_CONNECT = 5.0
"""Seconds in which a keeper takes a connection."""

_PATIENCE = 120.0
"""Seconds; a keeper that has begun a copy and does not end it has hung."""


def copied(source: FileSource, plan: Plan, context: Context, address: int, memory: object) -> bool:
    """Have the keeper copy a file's bytes to the GPU.

    Args:
        source: The file.
        plan: What to copy.
        context: The GPU's.
        address: Of the buffer there.
        memory: What owns the buffer. It is kept, also after an error, until the keeper has ended
            the copy or itself: else it would write into memory that others have by then.

    Returns:
        Whether it did; where not, the file is to be loaded plainly. It keeps the file for next time
        then, if it can.

    Raises:
        UserError: It hangs in the middle of it.
    """
    path = os.environ.get(VARIABLE)
    if not path or not plan.size:
        return False
    ranges = list(itertools.islice(plan.ranges, MOST_RANGES + 1))
    if len(ranges) > MOST_RANGES:
        return False
    try:
        gpu = find_devices(context.library)[context.number].id
        with context:
            handle, offset = context.export(address)
    except (CudaError, IndexError):  # such as memory of torch's expandable segments
        return False
    connection = _connected(path)
    if connection is None:
        return False
    request = Request(gpu, handle, offset, ranges).encode()
    may_copy = True
    try:
        answer = _asked(connection, request, source.descriptor)
        may_copy = False
        return answer == COPIED
    except TimeoutError as error:
        raise UserError(
            f"The keeper of weights at {path} does not answer; restart it, or unset {VARIABLE}."
        ) from error
    except OSError:
        may_copy = False  # it has hung up
        return False
    finally:
        if may_copy:
            rest = (connection, memory)
            threading.Thread(target=_keep_until_closed, args=rest, daemon=True).start()
        else:
            connection.close()


def _connected(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_CONNECT)
        connection.connect(path)
        if is_trusted(connection):
            connection.settimeout(_PATIENCE)
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _asked(connection: socket.socket, request: bytes, descriptor: int) -> bytes:
    """The answer to a request, once the keeper has hung up.

    Raises:
        OSError: It has hung up without one; TimeoutError: it does not hang up.
    """
    sent = socket.send_fds(connection, [request], [descriptor])
    if sent < len(request):  # else it may have answered already, and hung up
        connection.sendall(request[sent:])
    answer = b""
    while part := connection.recv(1 << 12):
        answer = (answer + part)[: len(COPIED) + 1]
    return answer


def _keep_until_closed(connection: socket.socket, memory: object) -> None:
    with connection, suppress(OSError):
        connection.settimeout(None)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 12):
            pass
