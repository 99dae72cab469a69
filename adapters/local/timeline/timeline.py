"""The stages of one start, as the platform and the instance told them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bentofn.runtime import stages
from bentofn.runtime.stages import Stage

Origin = Literal["platform", "instance"]


@dataclass(frozen=True)
class Slice:
    """A stage, and what it is part of.

    Args:
        origin: Who told of it.
        path: The names of what it is part of, and its own.
        stage: It.
    """

    origin: Origin
    path: tuple[str, ...]
    stage: Stage

    @property
    def took(self) -> int:
        """Nanoseconds."""
        return self.stage.ended - self.stage.began


@dataclass(frozen=True)
class Timeline:
    """One start.

    Args:
        name: What is started, and how.
        began: When it was asked for, in nanoseconds since 1970.
        ended: When the first answer was there.
        platform: What the platform told.
        instance: What the instance told.
    """

    name: str
    began: int
    ended: int
    platform: Sequence[Stage]
    instance: Sequence[Stage]

    def slices(self) -> list[Slice]:
        """All of it, in the order of time; what is part of something follows it."""
        found = [*_nested("platform", self.platform), *_nested("instance", self.instance)]
        return sorted(found, key=_by_time)

    @property
    def untold(self) -> int:
        """Nanoseconds of which no stage tells."""
        told, until = 0, self.began
        for each in sorted((*self.platform, *self.instance), key=lambda stage: stage.began):
            ends = min(each.ended, self.ended)
            told += max(0, ends - max(each.began, until))
            until = max(until, ends)
        return self.ended - self.began - told


@dataclass
class Telling:
    """A start that is being told of.

    Args:
        name: See :class:`Timeline`.
        file: What the instance writes to; it is removed with its folder, by whoever made that.
        imports: Whether each module that is imported is told of.
    """

    name: str
    file: Path
    imports: bool = False
    began: int = field(default_factory=time.time_ns)
    _platform: list[Stage] = field(default_factory=list)

    @property
    def variables(self) -> Mapping[str, str]:
        """What the instance needs among its variables."""
        told = {stages.FILE: str(self.file)}
        return {**told, stages.IMPORTS: "1"} if self.imports else told

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take down what the platform does inside the block."""
        with stages.telling_to(self._platform.append):
            yield

    def timeline(self, ended: int) -> Timeline:
        """What was told, once the instance has nothing more to say.

        Args:
            ended: When the first answer was there.
        """
        told = [each for each in stages.read(self.file) if each.began >= self.began]
        told += _interpreter(self._platform, told)
        return Timeline(self.name, self.began, ended, tuple(self._platform), tuple(told))


def _interpreter(platform: Iterable[Stage], told: Iterable[Stage]) -> list[Stage]:
    """From the process's start to the first line of Python: neither side sees both ends."""
    started = next((each for each in platform if each.name == "process"), None)
    booted = next((each for each in told if each.name == "boot"), None)
    if started is None or booted is None:
        return []
    began = min(started.ended, booted.began)
    return [replace(booted, name="interpreter", began=began, ended=booted.began)]


def _nested(origin: Origin, told: Iterable[Stage]) -> Iterator[Slice]:
    """Each stage within those of its thread that were going on."""
    around: dict[tuple[int, int], list[Stage]] = {}
    for stage in sorted(told, key=lambda each: (each.began, -each.ended)):
        stack = around.setdefault((stage.process, stage.thread), [])
        while stack and stack[-1].ended < stage.ended:
            stack.pop()
        stack.append(stage)
        yield Slice(origin, tuple(each.name for each in stack), stage)


def _by_time(found: Slice) -> tuple[int, int, int]:
    return found.stage.began, -found.stage.ended, len(found.path)
