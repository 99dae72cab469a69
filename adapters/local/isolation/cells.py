"""A control group for every instance that has limits: made ahead, entered, and removed.

Moving a process into a group takes the kernel some 10 ms (it waits for every CPU to have seen the
change), so nobody waits for it: what will become an instance is moved before it is needed, or while
it is still starting. What it used until then is not counted. Nor is what it shares: memory counts
for the group that touched it first, so a template's pages stay the template's, and the pages of a
snapshot's files those of the platform, which wrote or prefetched them. File pages that an instance
does read first count for it, but the kernel drops them again before it kills anybody.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from bentofn.adapters.local.isolation.groups import (
    Group,
    clear_groups,
    make_recorded,
    remove_group,
    share_out,
)
from bentofn.adapters.local.isolation.hierarchies import Hierarchy, find_hierarchies
from bentofn.adapters.local.isolation.limits import MEBI, Limits, peak_memory, was_killed


class Cell:
    """The control groups of one instance, by controller.

    Args:
        groups: Them.
        limits: What is written there.
    """

    def __init__(self, groups: Mapping[str, Group], limits: Limits) -> None:
        self._groups = groups
        self._limits = limits

    def enter(self, pid: int) -> None:
        """Move a process in, with what it starts from then on; takes some 10 ms.

        Raises:
            OSError: It has ended, or may not be moved.
        """
        for path in self._paths():
            (path / "cgroup.procs").write_text(str(pid))

    def throttle(self) -> None:
        """Hold what is in here to its CPU share, if it was free of that while it started.

        Raises:
            OSError: It has been removed.
        """
        group = self._groups.get("cpu")
        if group is not None and self._limits.boost:
            self._limits.write("cpu", group.version, group.path)

    def verdict(self) -> str:
        """Why the kernel killed a process in here, half a sentence; empty if it did not."""
        group = self._groups.get("memory")
        if group is None or not was_killed(group.version, group.path):
            return ""
        return self._limits.told(peak_memory(group.version, group.path))

    def remove(self) -> None:
        """Kill what is left in here, and remove it; takes as long as that takes to end."""
        for path in self._paths():
            remove_group(path)

    def _paths(self) -> set[Path]:
        return {group.path for group in self._groups.values()}


class Cells:
    """Makes the cells of one function.

    Args:
        groups: Where they are made, by controller.
        limits: What each instance may use.
        prefix: What their names start with.
        note: Why they are not or not all enforced, as a sentence; empty where they are.
    """

    def __init__(
        self, groups: Mapping[str, Group], limits: Limits, prefix: str = "", note: str = ""
    ) -> None:
        self._groups = groups
        self._limits = limits
        self._prefix = prefix
        self.note = note

    def make(self, name: str, *, limited: bool = True) -> Cell | None:
        """A cell for an instance; None where nothing is limited.

        Args:
            name: Unique among those with this prefix.
            limited: Whether the limits are written there, or what it uses is only counted.

        Raises:
            OSError: The kernel refuses.
        """
        made: dict[str, Group] = {}
        for controller, base in self._groups.items():
            group = Group(base.version, base.path / f"{self._prefix}{name}")
            made[controller] = group
            group.path.mkdir(mode=0o700, exist_ok=True)
            if limited and (controller != "cpu" or not self._limits.boost):
                self._limits.write(controller, group.version, group.path)
        return Cell(made, self._limits) if made else None


class Confinement:
    """The control groups of one home's platform.

    Args:
        name: Name of the group that holds the instances' groups; one platform's alone.
        record: File that says where groups were made, for those who look for leftovers.
        hierarchies: Those of this process.
    """

    def __init__(
        self, name: str, record: Path, hierarchies: Mapping[str, Hierarchy] | None = None
    ) -> None:
        self._name = name
        self._record = record
        self._hierarchies = find_hierarchies() if hierarchies is None else hierarchies
        self._bases: dict[str, Group] = {}

    def cells(self, limits: Limits, prefix: str = "") -> Cells:
        """The maker of cells with these limits; its note says what cannot be enforced.

        Args:
            limits: What each instance may use.
            prefix: What the names of its cells start with.
        """
        bases: dict[str, Group] = {}
        reasons: dict[str, str] = {}
        for controller in limits.controllers:
            try:
                bases[controller] = self._base(controller)
            except OSError as error:
                reasons[controller] = _reason(controller, error)
        return Cells(bases, limits, prefix, _note(limits, reasons))

    def close(self) -> None:
        """Remove all groups, with what is left in them."""
        clear_groups(self._record)
        self._bases.clear()

    def _base(self, controller: str) -> Group:
        if controller not in self._bases:
            hierarchy = self._hierarchies.get(controller)
            if hierarchy is None:
                raise OSError(errno.ENOENT, f"there is no {controller} controller here")
            self._bases[controller] = self._make_base(controller, hierarchy)
        return self._bases[controller]

    def _make_base(self, controller: str, hierarchy: Hierarchy) -> Group:
        if hierarchy.version == 1:
            base = hierarchy.own / self._name
            make_recorded(base, self._record)
        else:
            base = self._make_unified(controller, hierarchy)
        return Group(hierarchy.version, base)

    def _make_unified(self, controller: str, hierarchy: Hierarchy) -> Path:
        """Make it in our own group, or in the next above that may be written and shares out."""
        failure: OSError | None = None
        above = [hierarchy.own, *hierarchy.own.parents]
        for parent in above[: above.index(hierarchy.mount) + 1]:
            try:
                share_out(controller, parent)
                make_recorded(parent / self._name, self._record)
                share_out(controller, parent / self._name)
            except OSError as error:
                failure = failure or error
            else:
                return parent / self._name
        raise failure or OSError(errno.ENOENT, f"there is no {controller} controller here")


def _reason(controller: str, error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return (
            "the platform's control group holds other programs too, so that the kernel cannot "
            f"share out {controller} below it; start it in one of its own: "
            "systemd-run --user --pty -p Delegate=yes bentofn emulator start --foreground"
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"the platform may not make control groups here ({error.strerror})"
    return f"{error.strerror}"


def _note(limits: Limits, reasons: Mapping[str, str]) -> str:
    values = {
        "memory": f"memorySize {(limits.memory or 0) // MEBI}",
        "cpu": f"cpu {limits.cpus or 0:g}",
    }
    by_reason: dict[str, list[str]] = {}
    for controller, reason in reasons.items():
        by_reason.setdefault(reason, []).append(values[controller])
    return "; ".join(
        f"{' and '.join(what)} {'is' if len(what) == 1 else 'are'} not enforced: {reason}"
        for reason, what in by_reason.items()
    )
