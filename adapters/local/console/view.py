"""What one reader of the console is sent: first everything, then what has changed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bentofn.adapters.local.console.lanes import GAP, Lane, shown
from bentofn.adapters.local.console.model import Model
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.journal.figures import FunctionFigures
from bentofn.adapters.local.platform import Platform

REQUESTS_AT_ONCE = 40
"""Requests of a function that one message tells of; a reader cannot follow more."""
LATENCY_WINDOW = 60.0
"""Seconds of the wall's clock over which the time that requests take is told."""


class View:
    """One reader's.

    Args:
        platform: Whose functions are shown.
        model: What happens.
    """

    def __init__(self, platform: Platform, model: Model) -> None:
        self._platform = platform
        self._model = model
        self._seen = 0
        self._until = 0.0
        self._abouts: dict[str, dict[str, Any]] = {}
        self._told: set[str] = set()
        """The lanes that it knows."""

    @property
    def is_behind(self) -> bool:
        """Whether something happened that it was not sent."""
        return self._platform.journal.count > self._seen

    def message(self, *, sweep: bool) -> dict[str, Any]:
        """What it lacks.

        Args:
            sweep: Look at every function for what no event tells, such as its snapshot.
        """
        seen, self._seen = self._seen, self._platform.journal.count
        since = self._until - 2 * GAP * self._model.pace
        self._until = now = self._platform.clock.now()
        changed = {n: lane for n, lane in self._model.lanes.items() if lane.changed > seen}
        removed = [name for count, name in self._model.removed if count > seen]
        self._told.difference_update(removed)
        for name in removed:
            self._abouts.pop(name, None)
        found: dict[str, dict[str, Any]] = {}
        for name, function in self._functions(changed, sweep):
            about = _about(function, self._platform)
            if self._abouts.get(name) != about:
                self._abouts[name] = about
                found[name] = {"about": about}
        for name, lane in changed.items():
            if self._is_shown(name):
                # An instance was started before the function counted as deployed.
                known = (seen, since) if name in self._told else (0, 0.0)
                told = _lane(lane, self._model.figures(name), *known, self._model.pace)
                found.setdefault(name, {}).update(told)
                self._told.add(name)
        return {
            "now": now,
            "pace": self._model.pace,
            "totals": _totals(self._platform, self._model, now),
            "functions": found,
            "removed": removed,
        }

    def _functions(self, changed: dict[str, Lane], sweep: bool) -> list[tuple[str, Function]]:
        every = self._platform.functions
        names = every if sweep else [name for name in changed if name in every]
        return [(name, every[name]) for name in names if every[name].deployment is not None]

    def _is_shown(self, name: str) -> bool:
        function = self._platform.functions.get(name.partition(".")[0])
        return function is not None and function.deployment is not None


def _about(function: Function, platform: Platform) -> dict[str, Any]:
    status = function.status(platform.url_of(function.name))
    return {
        "url": status.url,
        "version": status.version,
        "bento": status.bento,
        "deployed": status.deployed,
        "snapshot": status.snapshot,
        "note": status.note,
        "broken": status.state == "broken",
        "schedules": [dataclasses.asdict(each) for each in platform.schedules(function.name)],
    }


def _lane(
    lane: Lane, figures: FunctionFigures, seen: int, since: float, pace: float
) -> dict[str, Any]:
    first = since - pace  # the second that was not over yet
    fresh = [(asked, end) for count, asked, end in lane.requests if count > seen]
    requests = [shown(*each) for each in (fresh[-REQUESTS_AT_ONCE:] if seen else fresh)]
    return {
        "figures": _figures(figures),
        "tracks": [track.shown(since) for track in lane.tracks.values() if track.changed > seen],
        "kept": list(lane.tracks),
        "seconds": [second.shown() for second in lane.seconds if second.at >= first],
        "requests": requests,
        "fires": [dataclasses.asdict(fired) for fired in lane.fires],
    }


def _figures(figures: FunctionFigures) -> dict[str, Any]:
    starts = figures.starts
    return {
        "profile": figures.profile,
        "answered": sum(figures.answered.values()),
        "failed": sum(n for status, n in figures.answered.items() if status >= 500),
        "throttled": figures.refused[429],
        "refused": sum(figures.refused.values()),
        "starts": {kind: each.count for kind, each in starts.items()},
        "started": sum(each.sum for each in starts.values()),
        "failed_starts": figures.failed_starts,
        "waiting": len(figures.waiting),
        "took": [figures.took.count, figures.took.sum],
        "batch": [figures.batches.count, figures.batches.sum, figures.batches.largest],
        "costs": figures.costs,
        "invocations": figures.invocations,
    }


def _totals(platform: Platform, model: Model, now: float) -> dict[str, Any]:
    states: Counter[str] = Counter()
    costs: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for figures in model.all_figures():
        states.update(figures.instances.values())
        costs.update(figures.costs)
        totals["answered"] += sum(figures.answered.values())
        totals["throttled"] += figures.refused[429]
        totals["refused"] += sum(figures.refused.values())
        totals["waiting"] += len(figures.waiting)
        for kind, histogram in figures.starts.items():
            totals[f"{kind} starts"] += histogram.count
    recent = sorted(took for at, took in model.took if at > now - LATENCY_WINDOW * model.pace)
    deployed = sum(1 for f in platform.functions.values() if f.deployment is not None)
    return {
        "functions": deployed,
        "gpus": dataclasses.asdict(platform.gpus()),
        "states": states,
        "costs": costs,
        **totals,
        "latency": [_quantile(recent, 0.5), _quantile(recent, 0.99)] if recent else None,
    }


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
