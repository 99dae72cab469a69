"""An instance's side: asks the keeper, and does without it where that is not to be had."""

from __future__ import annotations

import itertools
import os
import socket

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.devices import find_devices
from bentofn.runtime.cuda.library import CudaError
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.keeper.wire import (
    MOST_RANGES,
    VARIABLE,
    Request,
    is_trusted,
    receive_line,
)
from bentofn.runtime.weights.plan import Plan
from bentofn.runtime.weights.sources.files import FileSource

COPIED = b'{"copied":true}\n'
_PATIENCE = 120.0
"""Seconds; a keeper that has begun a copy and does not end it has hung."""


def copied(source: FileSource, plan: Plan, context: Context, address: int) -> bool:
    """Have the keeper copy a file's bytes to the GPU.

    Args:
        source: The file.
        plan: What to copy.
        context: The GPU's.
        address: Of the buffer there.

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
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(path)
            if not is_trusted(connection):
                return False
            line = Request(gpu, handle, offset, ranges).encode()
            sent = socket.send_fds(connection, [line], [source.descriptor])
            if sent < len(line):  # else it may have answered already, and hung up
                connection.sendall(line[sent:])
            return receive_line(connection) == COPIED
        except TimeoutError as error:
            raise UserError(
                f"The keeper of weights at {path} does not answer; restart it, or unset {VARIABLE}."
            ) from error
        except (OSError, ValueError):
            return False
