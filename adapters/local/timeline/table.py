"""Timelines of one kind of start as a table: what each stage takes, and when it begins."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bentofn.adapters.local.timeline.timeline import Origin, Timeline


@dataclass(frozen=True)
class Row:
    """A stage; medians of the starts that have it.

    Args:
        origin: Who goes through it.
        path: As in :class:`bentofn.adapters.local.timeline.timeline.Slice`.
        began: Seconds from the start's beginning.
        took: Seconds; of a stage that comes again within the same one, all together.
    """

    origin: Origin
    path: tuple[str, ...]
    began: float
    took: float


@dataclass
class _Seen:
    began: list[int] = field(default_factory=list)
    took: list[int] = field(default_factory=list)


def rows(timelines: Sequence[Timeline]) -> list[Row]:
    """Each stage of some starts in the order of time, those that are part of one after it."""
    seen: dict[tuple[Origin, tuple[str, ...]], _Seen] = defaultdict(_Seen)
    for timeline in timelines:
        sums: dict[tuple[Origin, tuple[str, ...]], int] = {}
        for each in timeline.slices():
            key = each.origin, each.path
            if key not in sums:
                seen[key].began.append(each.stage.began - timeline.began)
            sums[key] = sums.get(key, 0) + each.took
        for key, nanoseconds in sums.items():
            seen[key].took.append(nanoseconds)
    found = {
        key: Row(*key, statistics.median(each.began) / 1e9, statistics.median(each.took) / 1e9)
        for key, each in seen.items()
    }

    def place(row: Row) -> list[tuple[float, str, str]]:
        above = [found[row.origin, row.path[: depth + 1]] for depth in range(len(row.path))]
        return [(each.began, each.origin, each.path[-1]) for each in above]

    return sorted(found.values(), key=place)


def untold(timelines: Sequence[Timeline]) -> float:
    """The median of the seconds of which no stage tells."""
    return statistics.median(each.untold for each in timelines) / 1e9
