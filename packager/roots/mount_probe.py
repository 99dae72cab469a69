"""Whether this machine lets a process mount, found out by doing it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from bentofn.packager.roots.mounts import (
    FileSystem,
    enter_private_namespace,
    mount_fuse,
    unmount,
    why_no_erofs,
)
from bentofn.runtime.errors import UserError

_PROBE_SECONDS = 20.0


@cache
def can_mount(kind: FileSystem = "fuse") -> str | None:
    """Whether this process could mount, tried once in a process of its own.

    Args:
        kind: What is to be mounted.

    Returns:
        None if it works here, else a sentence that says why not.
    """
    if sys.platform != "linux":
        return "Only Linux has private mounts."
    command = [sys.executable, "-m", __name__, kind]
    try:
        probe = subprocess.run(command, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"The attempt to mount did not end well: {error}."
    if probe.returncode == 0:
        return None
    lines = probe.stdout.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "The attempt to mount failed."


def _probe(kind: FileSystem) -> None:
    """Try what :func:`can_mount` tells.

    Raises:
        UserError: It does not work.
    """
    enter_private_namespace()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "target"
        target.mkdir()
        if kind == "fuse":
            _probe_fuse(target)
        elif (reason := why_no_erofs(Path(folder))) is not None:
            raise UserError(reason)


def _probe_fuse(target: Path) -> None:
    try:
        descriptor = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise UserError(f"Cannot open /dev/fuse: {os.strerror(error.errno or 0)}.") from error
    mount_fuse(descriptor, target)
    unmount(target)
    os.close(descriptor)


def main(argv: list[str]) -> int:
    """The process of :func:`can_mount`: says why not, or ends with 0."""
    try:
        _probe("erofs" if argv == ["erofs"] else "fuse")
    except (UserError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
