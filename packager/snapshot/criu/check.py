"""Whether a CRIU can dump and restore here, and if not, why, in one sentence."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import lru_cache
from pathlib import Path

from bentofn.packager.snapshot.boot import boot_id, kernel
from bentofn.packager.snapshot.criu.installed import INSTALLED, Criu, version_key
from bentofn.packager.snapshot.criu.kdat import last_line, probe_kernel

FLOOR = "4.2"
"""The first CRIU that dumps and restores on kernel 6.18: 3.17.1 stops at its vDSO ("Unexpected rt
vDSO area bounds"), 4.1.1 cannot dump sockets there."""

SETUP = "bentofn snapshot setup"
"""The command that installs a fit one."""

ARCHITECTURES = ("x86_64", "aarch64")

_CAPABILITIES = {
    "CAP_SETPCAP": 8,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
}
"""What CRIU cannot dump or restore without, by number (capabilities(7)); found by taking away each.
The root of a container often lacks some."""

_EFFECTIVE = re.compile(r"^CapEff:\s*([0-9a-f]+)$", re.MULTILINE)
_FORBIDDEN = re.compile(
    r"^unshare: .*not permitted|^mount: .*(permission denied|not permitted)", re.MULTILINE
)
_ANOTHER = f"{SETUP} installs one of Debian's"
_ERROR = re.compile(r"^Error \([^)]*\):\s*(.+)$", re.MULTILINE)


def why_unfit(criu: Criu) -> str | None:
    """Why a CRIU cannot be used here; asked again, the answer is remembered.

    Args:
        criu: The CRIU.

    Returns:
        None if it can, else one sentence with what to do.
    """
    return _why_unfit(criu, boot_id(), kernel(), os.geteuid())


def why_no_host() -> str | None:
    """Why no CRIU could be used here, whichever it is: one sentence, or None."""
    if sys.platform != "linux":
        return "CRIU runs on Linux only."
    if platform.machine() not in ARCHITECTURES:
        return f"The engine criu is for x86-64 and AArch64, not for {platform.machine()}."
    if os.geteuid() != 0:
        return "CRIU needs root, and this process is not; run bentofn as root, as with sudo."
    users = Path("/proc/self/uid_map")
    if users.exists() and not is_initial_user_namespace(users.read_text()):
        return (
            "CRIU needs the host's root, and this is that of a user namespace, as in a rootless "
            "container; run bentofn as root outside of it."
        )
    missing = missing_capabilities(Path("/proc/self/status").read_text())
    if missing:
        return (
            f"CRIU needs rights that root lacks here ({', '.join(missing)}), as in a container "
            "that was not given them; start it with them, as podman run --privileged does."
        )
    if not Path("/proc/self/ns/pid").exists():
        return "This kernel has no pid namespaces (CONFIG_PID_NS), which every restored copy needs."
    return None


def is_initial_user_namespace(uid_map: str) -> bool:
    """Whether a process's users are the host's (user_namespaces(7)).

    Args:
        uid_map: Its ``/proc/<pid>/uid_map``.
    """
    return uid_map.split() == ["0", "0", str(2**32 - 1)]


def missing_capabilities(status: str) -> list[str]:
    """Capabilities that CRIU uses and a process lacks.

    Args:
        status: Its ``/proc/<pid>/status``.
    """
    found = _EFFECTIVE.search(status)
    effective = int(found[1], 16) if found else 0
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def too_old(criu: Criu) -> str | None:
    """Why a CRIU's version will not do: one sentence, or None."""
    if version_key(criu.version) >= version_key(FLOOR):
        return None
    return (
        f"CRIU {criu.version} ({criu.path}) is too old, {FLOOR} is needed: older ones fail on "
        f"current kernels, at the vDSO or at sockets; {SETUP} installs a fit one."
    )


def failed_check(criu: Criu, log: str) -> str:
    """What a failed ``criu check`` says, as one sentence.

    Args:
        criu: The CRIU that was asked.
        log: What it, and what started it, wrote.
    """
    if _FORBIDDEN.search(log):
        return (
            "This process may make no namespaces and mounts of its own, which CRIU needs (a "
            "container or a sandbox forbids it); start it with the right to, as podman run "
            "--privileged does."
        )
    errors = _ERROR.findall(log)
    reason = (errors[0] if errors else last_line(log)).rstrip(".")
    ours = criu.path.is_relative_to(INSTALLED)
    remedy = "compare its options with https://criu.org/Linux_kernel" if ours else _ANOTHER
    return (
        f"CRIU {criu.version} ({criu.path}) does not work on kernel {platform.release()}: "
        f"{reason}; {remedy}."
    )


@lru_cache(maxsize=16)
def _why_unfit(criu: Criu, boot: str, running: str, user: int) -> str | None:
    reason = why_no_host() or too_old(criu)
    if reason is not None:
        return reason
    probe = probe_kernel(criu)
    if not probe.data:
        return failed_check(criu, probe.log)
    return None
