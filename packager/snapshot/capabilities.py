"""The privileges of this process's children: a restored process is given those that it had.

Who has fewer can't give them, and CRIU's restore fails.
"""

from __future__ import annotations

import re
from pathlib import Path

# fmt: off
_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
    "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
    "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
    "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)
# fmt: on
"""By their numbers. Source: include/uapi/linux/capability.h"""

_BOUNDING = re.compile(r"^CapBnd:\s*([0-9a-f]+)$", re.MULTILINE)
"""What a program that root starts has: the bounding set (capabilities(7))."""

_STATUS = Path("/proc/self/status")


def own_capabilities() -> tuple[str, ...]:
    """What programs may have that this process starts, sorted; nothing where that is not said."""
    try:
        return capabilities_of(_STATUS.read_text(errors="replace"))
    except OSError:
        return ()


def capabilities_of(status: str) -> tuple[str, ...]:
    """The bounding set, sorted.

    Args:
        status: The text of ``/proc/<pid>/status``.
    """
    found = _BOUNDING.search(status)
    bits = int(found[1], 16) if found else 0
    numbers = [number for number in range(bits.bit_length()) if bits >> number & 1]
    return tuple(sorted(_NAMES[n] if n < len(_NAMES) else f"{n}" for n in numbers))
