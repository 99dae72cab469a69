"""Which boot of which kernel this is: what was found out in another may hold no more."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The id that the kernel drew at its start (random(4)); empty where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def kernel() -> str:
    """The running kernel's release and build, such as ``6.18.44 #1 SMP ...``."""
    names = os.uname()
    return f"{names.release} {names.version}"
