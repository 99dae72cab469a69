"""What an instance may use, and the files of its control group that say so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.core.profile import MEMORY_REPORT, Profile
from bentofn.adapters.protocol import FunctionSettings

MEBI = 1 << 20

PERIOD = 100_000
"""Microseconds over which CPU time is counted: the kernel's own default."""

LEAST_QUOTA = 1_000
"""Microseconds of CPU time in a period at least, the kernel's own bound."""


@dataclass(frozen=True)
class Limits:
    """Limits of one instance; None sets none.

    Args:
        memory: Bytes of memory of its own.
        cpus: CPUs that it may keep busy.
        boost: Whether ``cpus`` holds only once it serves.
        report: What is told of who needed more memory, with ``{limit}`` and ``{peak}`` for MiB.
    """

    memory: int | None = None
    cpus: float | None = None
    boost: bool = False
    report: str = MEMORY_REPORT

    @classmethod
    def of(cls, settings: FunctionSettings, profile: Profile) -> Limits:
        """What a function's settings ask for, else what the profile gives; 0 is no limit."""
        size = profile.allowance(settings)
        return cls(
            size.memory * MEBI or None,
            size.cpu or None,
            profile.instance.boost,
            profile.limits.memory_report,
        )

    @property
    def controllers(self) -> tuple[str, ...]:
        """The kernel's controllers that it takes to enforce them."""
        wanted = (("memory", self.memory), ("cpu", self.cpus))
        return tuple(name for name, value in wanted if value is not None)

    def told(self, peak: int | None) -> str:
        """What is told of who needed more memory than it may.

        Args:
            peak: Bytes that it had; None if nobody knows.
        """
        shown = "?" if peak is None else str(peak // MEBI)
        return self.report.replace("{limit}", str((self.memory or 0) // MEBI)).replace(
            "{peak}", shown
        )

    def write(self, controller: str, version: int, group: Path) -> None:
        """Have the kernel enforce them on a group.

        Args:
            controller: One of :attr:`controllers`.
            version: The hierarchy's version.
            group: The group's directory.

        Raises:
            OSError: The kernel does not take them.
        """
        if controller == "memory" and self.memory is not None:
            _limit_memory(version, group, self.memory)
        elif controller == "cpu" and self.cpus is not None:
            quota = max(LEAST_QUOTA, round(self.cpus * PERIOD))
            if version == 1:
                (group / "cpu.cfs_period_us").write_text(str(PERIOD))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (group / "cpu.max").write_text(f"{quota} {PERIOD}")


def _limit_memory(version: int, group: Path, size: int) -> None:
    if version == 1:
        (group / "memory.limit_in_bytes").write_text(str(size))
        # Memory and swap together; there only where the kernel counts swap.
        _write_if_there(group / "memory.memsw.limit_in_bytes", size)
    else:
        (group / "memory.max").write_text(str(size))
        _write_if_there(group / "memory.swap.max", 0)
        # All of an instance or nothing: one that lost a worker process would answer no more.
        _write_if_there(group / "memory.oom.group", 1)


def _write_if_there(path: Path, value: int) -> None:
    if path.exists():
        path.write_text(str(value))


def was_killed(version: int, group: Path) -> bool:
    """Whether the kernel killed a process of a group for want of memory."""
    name = "memory.oom_control" if version == 1 else "memory.events"
    for line in _read(group / name).splitlines():
        event, _, count = line.partition(" ")
        if event == "oom_kill":
            return int(count) > 0
    return False


def peak_memory(version: int, group: Path) -> int | None:
    """Most bytes that a group has used; None where the kernel does not tell (before Linux 5.19)."""
    text = _read(group / ("memory.max_usage_in_bytes" if version == 1 else "memory.peak"))
    return int(text) if text else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
