"""Loop devices: a file as a block device, for kernels that mount nothing else.

Source: loop(4), and the kernel's include/uapi/linux/loop.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CTL_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A
_LO_FLAGS_READ_ONLY, _LO_FLAGS_AUTOCLEAR = 1, 4
_CONFIG_SIZE, _FLAGS_OFFSET = 304, 60
_ATTEMPTS = 16


@contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """A loop device of a file, which frees itself with its last user.

    Raises:
        OSError: There are none, or this process may not have one.
    """
    with image.open("rb") as file:
        device, descriptor = _take(file.fileno())
    try:
        yield device
    finally:
        os.close(descriptor)


def _take(file: int) -> tuple[str, int]:
    """Make a free device one of a file; returns its path, and it, open."""
    config = bytearray(_CONFIG_SIZE)
    struct.pack_into("=I", config, 0, file)
    struct.pack_into("=I", config, _FLAGS_OFFSET, _LO_FLAGS_READ_ONLY | _LO_FLAGS_AUTOCLEAR)
    for _ in range(_ATTEMPTS):
        with open("/dev/loop-control", "rb") as control:  # noqa: PTH123 - a device
            device = f"/dev/loop{fcntl.ioctl(control, _CTL_GET_FREE)}"
        descriptor = os.open(device, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _CONFIGURE, bytes(config))
        except OSError as error:
            os.close(descriptor)
            if error.errno != errno.EBUSY:  # somebody else took it meanwhile
                raise
        else:
            return device, descriptor
    raise OSError(errno.EBUSY, "no free loop device")
