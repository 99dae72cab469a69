"""What decides whether a fact about CRIU on this host still holds: this boot, this kernel."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")


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


def is_tmpfs(folder: str) -> bool:
    """Whether a tmpfs is mounted on a folder, for this process.

    Source: proc_pid_mountinfo(5); the file system's name stands after the field ``-``.
    """
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    kinds = [
        fields[fields.index("-") + 1]
        for line in lines
        if (fields := line.split(" "))[4] == folder and "-" in fields
    ]
    return bool(kinds) and kinds[-1] == "tmpfs"
