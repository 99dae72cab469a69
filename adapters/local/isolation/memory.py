"""What a process holds of memory, apart from what it shares."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

_KIBI = 1024


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of memory of one process.

    Args:
        private: Pages that only it has, such as those that it wrote.
        shared: Its share of the pages that it has in common with others (PSS less private).
    """

    private: int
    shared: int

    @classmethod
    def of(cls, pid: int) -> MemoryUse:
        """Of a process, now.

        Source: ``/proc/<pid>/smaps_rollup`` of proc_pid_smaps(5).

        Raises:
            OSError: It has ended, or may not be looked at.
        """
        sizes: dict[str, int] = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            sizes[name] = int(rest.split()[0]) * _KIBI
        private = sum(size for name, size in sizes.items() if name.startswith("Private_"))
        return cls(private, max(0, sizes["Pss"] - private))


def peak_of_all(pid: int) -> int:
    """Bytes of memory that what a process has started has had at most, or it if it has no child.

    Source: ``VmHWM`` of proc_pid_status(5), ``/proc/<pid>/task/<tid>/children`` of proc(5).

    Args:
        pid: The process.

    Returns:
        The sum of the peaks of those that live; what they share counts for each.
    """
    return sum(map(_peak, _descendants(pid))) or _peak(pid)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIBI
    return 0
