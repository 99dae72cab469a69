"""CRIU's cache of what the kernel can do, also where CRIU itself would not keep it.

CRIU writes ``/run/criu.kdat`` only if ``/run`` is a tmpfs, and without it probes the kernel again
at each start, some 40 ms. It reads the file from any file system. So it is made once, in a mount
namespace of its own with a tmpfs on ``/run``, and installed.

Source: criu/kerndat.c (``kerndat_save_cache``, ``kerndat_try_load_cache``).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.snapshot.boot import boot_id, kernel
from bentofn.packager.snapshot.criu.installed import Criu
from bentofn.runtime.errors import UserError

FOLDER = Path("/run")
NAME = "criu.kdat"
SIDECAR = "criu.kdat.bentofn"
"""File beside the cache that says of which boot, kernel and CRIU it is, and its digest."""

_PRIVATE = ("unshare", "--mount", "--propagation", "private")
_SCRIPT = f'mount -t tmpfs tmpfs {FOLDER} && "$@" >&2 && cat {FOLDER / NAME}'
_MOUNTS = Path("/proc/self/mountinfo")
_SECONDS = 30.0


@dataclass(frozen=True)
class Probe:
    """What ``criu check`` gave, in namespaces of its own.

    Args:
        data: The cache that CRIU wrote; empty if the check failed.
        log: What was said on stderr.
    """

    data: bytes
    log: str


def ensure_kdat(criu: Criu, folder: Path = FOLDER) -> None:
    """Make sure that CRIU finds its cache at its next start; cheap where it is there.

    Where the folder cannot be written, CRIU works too, only later.

    Args:
        criu: The CRIU that will look for it.
        folder: Where it looks, ``/run``.

    Raises:
        UserError: CRIU cannot look at this kernel; ``why_unfit`` says why.
    """
    if is_tmpfs(str(folder)) or _is_current(criu, folder):
        return
    probe = probe_kernel(criu)
    if not probe.data:
        raise UserError(f"{criu.path} cannot look at this kernel: {last_line(probe.log)}")
    with suppress(OSError, UserError):
        install_kdat(criu, probe, folder)


def install_kdat(criu: Criu, probe: Probe, folder: Path = FOLDER) -> None:
    """Install the cache that a probe gave, unless CRIU keeps it by itself."""
    if is_tmpfs(str(folder)):
        return
    atomic_write(folder / NAME, probe.data, mode=0o600)
    atomic_write(folder / SIDECAR, _sidecar(criu, probe.data), mode=0o600)


def probe_kernel(criu: Criu) -> Probe:
    """Run ``criu check`` in a mount namespace of its own, with a tmpfs on ``/run``."""
    command = [*_PRIVATE, "sh", "-c", _SCRIPT, "sh", *criu.command, "check"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(b"", f"criu check did not end within {_SECONDS:.0f} seconds")
    except OSError as error:
        return Probe(b"", f"{_PRIVATE[0]} cannot be started: {error.strerror}")
    log = done.stderr.decode(errors="replace")
    return Probe(done.stdout if done.returncode == 0 else b"", log)


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


def last_line(log: str) -> str:
    """The last line of a log that says something."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _is_current(criu: Criu, folder: Path) -> bool:
    try:
        data = (folder / NAME).read_bytes()
        return (folder / SIDECAR).read_bytes() == _sidecar(criu, data)
    except OSError:
        return False


def _sidecar(criu: Criu, data: bytes) -> bytes:
    facts = {
        "boot": boot_id(),
        "kernel": kernel(),
        "criu": criu.version,
        "path": str(criu.path),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return json.dumps(facts, sort_keys=True).encode()
