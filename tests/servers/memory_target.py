"""A target in memory, and ways in which an adapter for it can be wrong."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bentofn.adapters.capabilities import ANY_OTHER, Capabilities, Capability
from bentofn.adapters.changes import changes_between
from bentofn.adapters.fields import NAMES
from bentofn.adapters.load import Load
from bentofn.adapters.plan import Plan
from bentofn.adapters.protocol import (
    Deployed,
    FunctionSettings,
    FunctionSpec,
    FunctionStatus,
    LogLine,
    Progress,
    Reply,
    Version,
)
from bentofn.adapters.versions import choose
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.testing.adapter_suite import Failing, Failure, InterruptedWorld, World

NAME = "tell"


class Backend:
    """Files by path, of which one call can be made to fail."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}
        self.writes = self.calls = 0
        self.fails: tuple[int, Failure, Failing] | None = None

    def put(self, path: str, value: Any) -> None:
        self.writes += 1
        self._call(f"put {path}", lambda: self.files.__setitem__(path, copy.deepcopy(value)))

    def delete(self, path: str) -> None:
        self.writes += 1
        self._call(f"delete {path}", lambda: self.files.pop(path, None))

    def _call(self, what: str, do: Any) -> None:
        if self.fails is not None:
            number, failure, failing = self.fails
            self.calls += 1
            if self.calls > number and not (failing.call and failure == "denied"):
                first, failing.call = not failing.call, failing.call or what
                if failure == "denied":
                    raise UserError(f"The memory refused to {what} for {NAME}.")
                if failure == "lost" and first:
                    do()
                raise InterruptedWorld(what)
        do()


class MemoryAdapter:
    """A right one: ``v/N`` are versions, ``live`` says which gets the requests."""

    name = "memory"
    capabilities = Capabilities(
        name,
        (
            *(Capability(f, "native") for f in NAMES if f not in ("gpu", "promote")),
            Capability("gpu", "refused", "memory has none"),
            Capability("promote", "refused", "one version gets all requests"),
            Capability(ANY_OTHER, "ignored"),
        ),
    )

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def check_installed(self) -> None:
        pass

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        live = self._version()
        changes = changes_between(live["spec"] if live else None, spec, self.capabilities)
        problems = self.capabilities.problems(spec.settings)
        return Plan(self.name, spec.name, changes, problems=problems)

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        self.plan(spec).check()
        live = self._version()
        if live is not None and live["spec"] == spec:
            return self._deployed(changed=False)
        number = max(self._numbers(), default=0) + 1
        progress(f"Making version {number}")
        self.backend.put(f"v/{number}", {"spec": spec, "number": number})
        return self._switch(number)

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        live = self._version()
        if name is not None:
            self._check(name)
        if live is None:
            return []
        return [FunctionStatus(NAME, "", live["number"], "b:1", "d", "", "zero", "none")]

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        self._check(name)
        live = self._version()
        assert live is not None
        answer = live["spec"].settings.environment["REVISION"].encode()
        return Reply(200, {}, iter([answer]))

    def logs(self, name: str, **_: Any) -> Iterator[LogLine]:
        self._check(name)
        return iter(())

    def versions(self, name: str) -> list[Version]:
        self._check(name)
        live = self.backend.files["live"]
        return [Version(n, "b:1", "d", "", float(n == live)) for n in self._numbers()]

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        number = choose(self.versions(name), name, version)
        if number == self.backend.files["live"]:
            return self._deployed(changed=False)
        return self._switch(number)

    def promote(self, name: str, version: int, weight: float, progress: Progress) -> Deployed:
        if weight < 1:
            raise UserError(f"One version of {name} gets all requests.")
        return self.rollback(name, version, progress)

    def destroy(self, name: str) -> None:
        if not self.backend.files:
            self._check(name)
        self.backend.delete("live")
        for number in self._numbers():
            self.backend.delete(f"v/{number}")

    def _switch(self, number: int) -> Deployed:
        self.backend.put("live", number)
        return self._deployed(changed=True)

    def _deployed(self, *, changed: bool) -> Deployed:
        return Deployed(NAME, "", self.backend.files["live"], "b:1", "d", changed, "none")

    def _numbers(self) -> list[int]:
        return sorted(int(path[2:]) for path in self.backend.files if path.startswith("v/"))

    def _version(self) -> Any:
        live = self.backend.files.get("live")
        return None if live is None else self.backend.files[f"v/{live}"]

    def _check(self, name: str) -> None:
        if name != NAME or "live" not in self.backend.files:
            raise UserError(f"There is no function {name!r} in memory.")


class MemoryWorld(World):
    """A backend in memory with an adapter of a given kind."""

    failures: tuple[Failure, ...] = ("denied", "cut", "lost")

    def __init__(self, folder: Path, kind: type[MemoryAdapter] = MemoryAdapter) -> None:
        self.home, self._kind, self.backend = Home(folder), kind, Backend()

    def adapter(self) -> MemoryAdapter:
        return self._kind(self.backend)

    def spec(self, revision: int) -> FunctionSpec:
        return FunctionSpec(NAME, "b:1", FunctionSettings(environment={"REVISION": str(revision)}))

    def live(self) -> int | None:
        number = self.backend.files.get("live")
        version = self.backend.files.get(f"v/{number}")
        return version and int(version["spec"].settings.environment["REVISION"])

    def resources(self) -> Mapping[str, object]:
        return copy.deepcopy(self.backend.files)

    def writes(self) -> int:
        return self.backend.writes

    @contextlib.contextmanager
    def failing(self, call: int, failure: Failure) -> Iterator[Failing]:
        failing = Failing()
        self.backend.calls, self.backend.fails = 0, (call, failure, failing)
        try:
            yield failing
        finally:
            self.backend.fails = None


class WritesWhilePlanning(MemoryAdapter):
    """Notes each plan at the backend."""

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        self.backend.put("planned", spec.name)
        return super().plan(spec, load=load)


class AppliesAlways(MemoryAdapter):
    """Makes a version of what is live already."""

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        number = max(self._numbers(), default=0) + 1
        self.backend.put(f"v/{number}", {"spec": spec, "number": number})
        return self._switch(number)


class SwitchesFirst(MemoryAdapter):
    """Gives the requests to a version that is not there yet."""

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        self.plan(spec).check()
        number = max(self._numbers(), default=0) + 1
        self.backend.put("live", number)
        self.backend.put(f"v/{number}", {"spec": spec, "number": number})
        return self._deployed(changed=True)


class LeavesUploads(MemoryAdapter):
    """Uploads first what only an apply that was finished is known to have."""

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        self.backend.put("upload", spec.bento)
        return super().apply(spec, progress)


class ForgetsTheVersions(MemoryAdapter):
    """Destroys what gets the requests, and nothing else."""

    def destroy(self, name: str) -> None:
        self._check(name)
        self.backend.delete("live")


class RefusesLate(MemoryAdapter):
    """Looks at the fields after the new version was made."""

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        self.backend.put("draft", spec.name)
        self.plan(spec).check()
        self.backend.delete("draft")
        return super().apply(spec, progress)


class TellsValues(MemoryAdapter):
    """Reports the variables of what it makes."""

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        progress(f"With {dict(spec.settings.environment)}")
        return super().apply(spec, progress)


class RollsNothingBack(MemoryAdapter):
    """Says that it did."""

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        number = choose(self.versions(name), name, version)
        return dataclasses.replace(self._deployed(changed=True), version=number)


class ForgetsAField(MemoryAdapter):
    """Never heard of GPUs."""

    capabilities = Capabilities(
        "memory", tuple(e for e in MemoryAdapter.capabilities.entries if e.field != "gpu")
    )
