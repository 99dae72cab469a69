"""Memory that the kernel wipes in a forked child, wiped in a restored process too.

BoringSSL (in grpc), AWS-LC and the C library's own getrandom keep a page with the advice
MADV_WIPEONFORK: found empty, it tells them that they are a copy and must seed anew. A restore keeps
its bytes, so that nothing is noticed.

Source: https://man7.org/linux/man-pages/man2/madvise.2.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path

_WIPED = {"wf", "wr"}
"""Of ``VmFlags``: wiped on fork, and writable. Source: https://docs.kernel.org/filesystems/proc.html"""


def find_wiped() -> list[Callable[[], None]]:
    """A function for each mapping that a fork would have found wiped."""
    try:
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:
        return []
    found: list[Callable[[], None]] = []
    start = end = 0
    for line in lines:
        name, *values = line.split()
        if not name.endswith(":"):
            start, end = (int(address, 16) for address in name.split("-"))
        elif name == "VmFlags:" and set(values) >= _WIPED:
            found.append(partial(_wipe, start, end - start))
    return found


def _wipe(address: int, size: int) -> None:
    ctypes.memset(address, 0, size)
