"""Whether this process is the one that it was: a restored process is a new one with old memory.

The kernel keeps when a process was started, in ticks since the machine was, and nothing can set it:
CRIU's restore begins with a fork. On another machine, or after a reboot, the boot has another id.

Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html (``starttime``) and
https://man7.org/linux/man-pages/man4/random.4.html (``boot_id``)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GAP = 0.05
"""Seconds on the wall clock within which no process is dumped and restored: runc took 0.11 for the
dump of an interpreter that does nothing."""

_STAT = Path("/proc/self/stat")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STARTED = 19
"""Of the fields that follow the program's name, which may hold anything."""


@dataclass(frozen=True)
class Identity:
    """A process, as no other has ever been.

    Args:
        started: When it was started, in ticks of the clock since the boot; empty where the system
            does not say, as other systems than Linux.
        boot: The boot of the machine.
    """

    started: str
    boot: str

    @classmethod
    def now(cls) -> Identity:
        """That of this process, asked anew: some thirty microseconds."""
        return cls(_field(_STAT, _STARTED), _field(_BOOT, 0))


def _field(path: Path, number: int) -> str:
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[number] if number < len(fields) else ""


class Watch:
    """Notices once, whenever it is asked, that this process was restored since.

    While it is asked all the time it only reads the clock, whose gaps a restore cannot hide.

    Args:
        identity: Gives this process's.
        clock: Seconds on the wall clock.
    """

    def __init__(
        self,
        identity: Callable[[], Identity] = Identity.now,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._is = identity()
        self._asked = clock()

    def is_restored(self) -> bool:
        """Whether it was, since this was asked last."""
        now = self._clock()
        passed, self._asked = now - self._asked, now
        if 0 <= passed < GAP:
            return False
        before, self._is = self._is, self._identity()
        return self._is != before
