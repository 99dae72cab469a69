"""The samples of a run, kept in a file if wished, so that a run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from serving.load import Load


@dataclass(frozen=True)
class Sample:
    """What was measured of one contender in one round.

    Args:
        workload: Its name.
        contender: Its name.
        round: Counted from 0.
        first_answer: Milliseconds from the start to the first right answer.
        megabytes: Of the idle process tree; 0 before it was weighed.
        loads: What it did, by the number of connections.
    """

    workload: str
    contender: str
    round: int
    first_answer: float
    megabytes: float = 0.0
    loads: Mapping[int, Load] = field(default_factory=dict)


class Record:
    """The samples so far.

    Args:
        path: Where they are read from, and added to; None keeps them in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._samples: dict[tuple[str, str, int], Sample] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                self._keep(_sample(json.loads(line)))

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self._keep(sample)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(sample)) + "\n")

    def weighed(self, workload: str, contender: str, number: int, megabytes: float) -> None:
        """Add the memory to the sample of a round."""
        found = self._samples[workload, contender, number]
        self.add(replace(found, megabytes=megabytes))

    def is_weighed(self, workload: str, contender: str, number: int) -> bool:
        """Whether that was done."""
        return self._samples[workload, contender, number].megabytes > 0

    def has(self, workload: str, contender: str, number: int, counts: Collection[int]) -> bool:
        """Whether a round was measured, with these numbers of connections."""
        found = self._samples.get((workload, contender, number))
        return found is not None and set(counts) <= set(found.loads)

    def of(self, workload: str, rounds: int) -> dict[str, list[Sample]]:
        """A workload's samples by contender, round by round."""
        found: dict[str, list[Sample]] = {}
        for (name, contender, number), sample in sorted(self._samples.items()):
            if name == workload and number < rounds:
                found.setdefault(contender, []).append(sample)
        return found

    def _keep(self, sample: Sample) -> None:
        self._samples[sample.workload, sample.contender, sample.round] = sample


def _sample(found: dict[str, Any]) -> Sample:
    loads = {int(count): Load(**load) for count, load in dict(found["loads"]).items()}
    return Sample(**{**found, "loads": loads})
