"""Where a function's files are: its versions, who gets its requests, its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bentofn.adapters.protocol import FunctionSpec, Version
from bentofn_folder.machine import Machine

LOG = "log.jsonl"


@dataclass(frozen=True)
class Stored:
    """A version as its file says.

    Args:
        number: Its number.
        spec: What was applied.
        digest: Its bento's.
        created: When, ISO 8601 in UTC.
    """

    number: int
    spec: FunctionSpec
    digest: str
    created: str

    def same(self, spec: FunctionSpec, digest: str) -> bool:
        """Whether it is what a spec asks for."""
        return (self.spec, self.digest) == (spec, digest)

    def version(self, weights: dict[int, float]) -> Version:
        """As the protocol has it."""
        weight = weights.get(self.number, 0.0)
        return Version(self.number, self.spec.bento, self.digest, self.created, weight)


class Functions:
    """The functions of a machine.

    Args:
        machine: Where they are.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def names(self) -> list[str]:
        """Those that something is left of, live or not."""
        return self.machine.names("functions")

    def stored(self, name: str) -> list[Stored]:
        """The versions of a function, the first one first."""
        found = []
        for file in self.machine.names(f"functions/{name}/versions"):
            raw = self.machine.read(f"functions/{name}/versions/{file}")
            if raw is not None:  # another process may have removed it
                found.append(Stored(raw["number"], _spec(raw), raw["digest"], raw["created"]))
        return sorted(found, key=lambda each: each.number)

    def weights(self, name: str) -> dict[int, float]:
        """Who gets the requests: version to share; empty where the function is not live."""
        raw = self.machine.read(f"functions/{name}/live.json") or {}
        return {int(number): share for number, share in raw.items()}

    def keep(self, version: Stored, name: str) -> None:
        """Write a version down; it gets no requests by that."""
        document = {
            "number": version.number,
            "spec": version.spec.to_json(),
            "digest": version.digest,
            "created": version.created,
        }
        self.machine.write(_file(name, version.number), document)

    def switch(self, name: str, weights: dict[int, float]) -> None:
        """Say who gets the requests from now on."""
        self.machine.write(f"functions/{name}/live.json", weights)

    def forget(self, name: str) -> None:
        """Remove a function; what is live goes first, the versions, which say what there is, last.

        Removing is done again by the next call, should it be interrupted.
        """
        for file in ("live.json", LOG):
            self.machine.remove(f"functions/{name}/{file}")
        self.remove_unused_bentos(without=name)
        for number in [each.number for each in self.stored(name)]:
            self.machine.remove(_file(name, number))

    def prune(self, name: str, keep: int) -> None:
        """Remove old versions that get no requests, but for the latest ones."""
        weights = self.weights(name)
        for version in self.stored(name)[:-keep]:
            if version.number not in weights:
                self.machine.remove(_file(name, version.number))

    def remove_unused_bentos(self, without: str = "") -> None:
        """Remove files of bentos that no version of any function names.

        Args:
            without: A function that does not count.
        """
        names = [name for name in self.names() if name != without]
        used = {bento_file(each.digest) for name in names for each in self.stored(name)}
        for file in self.machine.names("bentos"):
            if f"bentos/{file}" not in used:
                self.machine.remove(f"bentos/{file}")


def bento_file(digest: str) -> str:
    """Where a bento's file stands."""
    return f"bentos/{digest.removeprefix('sha256:')}.tar"


def _file(name: str, number: int) -> str:
    return f"functions/{name}/versions/{number}.json"


def _spec(raw: dict[str, Any]) -> FunctionSpec:
    return FunctionSpec.from_json(raw["spec"])
