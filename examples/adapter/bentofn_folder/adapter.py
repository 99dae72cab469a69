"""The target ``folder``: functions in a folder, a process for each call.

A version is written down first, then its bento is uploaded, then the requests are given to it: what
an interrupted apply leaves is named by its version, so that the next apply or destroy finds it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from bentofn.adapters.changes import changes_between
from bentofn.adapters.load import Load
from bentofn.adapters.plan import Cost, CostPart, Plan, Upload
from bentofn.adapters.protocol import (
    Capabilities,
    Deployed,
    FunctionSpec,
    FunctionStatus,
    LogLine,
    Progress,
    Reply,
    Version,
)
from bentofn.adapters.versions import choose
from bentofn.packager.archive import export_bento
from bentofn.packager.home import Home
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn_folder.capabilities import CAPABILITIES
from bentofn_folder.functions import LOG, Functions, Stored, bento_file
from bentofn_folder.machine import Machine
from bentofn_folder.process import answer

FOLDER = "BENTOFN_FOLDER"
"""The variable that says where functions are kept; else they are in the home."""

_KEPT = 10
"""Versions of a function that are kept."""


class FolderAdapter:
    """See :class:`bentofn.adapters.protocol.Adapter`.

    Args:
        home: Where bentos come from.
        machine: Where functions go.
    """

    name = "folder"
    capabilities: Capabilities = CAPABILITIES

    def __init__(self, home: Home, machine: Machine | None = None) -> None:
        folder = Path(os.environ.get(FOLDER) or home.path / "folder")
        self._home, self._store = home, Store(home)
        self._machine = machine or Machine(folder)
        self._functions = Functions(self._machine)

    def check_installed(self) -> None:
        """See Adapter: it needs nothing but bentofn."""

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        """See Adapter."""
        spec, entry = self._exact(spec)
        live = self._live(spec.name)
        size = sum(layer.size for layer in self._store.descriptors(entry))
        file = bento_file(entry.digest)
        present = file in (f"bentos/{name}" for name in self._machine.names("bentos"))
        parts = (CostPart("processes of a machine that is there anyway", 0.0),)
        return Plan(
            target=self.name,
            function=spec.name,
            changes=changes_between(live.spec if live else None, spec, CAPABILITIES),
            uploads=(Upload("bento", size, present),),
            problems=CAPABILITIES.problems(spec.settings),
            cost=None if load is None else Cost(load, parts),
        )

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """See Adapter."""
        self.plan(spec).check()
        spec, entry = self._exact(spec)
        live, file = self._live(spec.name), bento_file(entry.digest)
        if live is not None and live.same(spec, entry.digest):
            return _deployed(live, changed=False)
        version = self._begun(spec, entry.digest) or self._new(spec, entry.digest)
        if file.removeprefix("bentos/") not in self._machine.names("bentos"):
            progress("Uploading the bento")
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder) / "bento.tar"
                export_bento(self._store, entry.tag, archive)
                self._machine.upload(file, archive)
        progress("Giving it the requests")
        self._functions.switch(spec.name, {version.number: 1.0})
        self._tidy(spec.name)
        return _deployed(version, changed=True)

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        """See Adapter."""
        names = self._deployed() if name is None else [self._known(name)]
        return [_status(version) for each in names if (version := self._live(each)) is not None]

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        """See Adapter."""
        weights = self._functions.weights(self._known(name))
        chosen = random.choices(list(weights), list(weights.values()))[0]
        (version,) = (each for each in self._functions.stored(name) if each.number == chosen)
        folder = self._machine.folder
        archive, log = folder / bento_file(version.digest), folder / "functions" / name / LOG
        return answer(version, archive, self._home, log, body, api or "")

    def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        since: float = 0.0,
        tail: int | None = None,
        request: str = "",
    ) -> Iterator[LogLine]:
        """See Adapter; there is nothing to follow, since a process ends with its request."""
        path = self._machine.folder / "functions" / self._known(name) / LOG
        written = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        raw = [json.loads(line) for line in written]
        lines = [LogLine(stream="stdout", **each) for each in raw if each["ts"] > since]
        return iter(lines if tail is None else lines[len(lines) - tail :] if tail else [])

    def versions(self, name: str) -> list[Version]:
        """See Adapter."""
        weights = self._functions.weights(self._known(name))
        return [each.version(weights) for each in self._functions.stored(name)]

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        """See Adapter."""
        return self._give(name, {choose(self.versions(name), name, version): 1.0})

    def promote(self, name: str, version: int, weight: float, progress: Progress) -> Deployed:
        """See Adapter."""
        versions = self.versions(name)
        chosen = choose(versions, name, version)
        others = [each for each in versions if each.number != chosen]
        if weight == 1 or not others:
            return self._give(name, {chosen: 1.0})
        rest = max(others, key=lambda each: each.weight).number
        return self._give(name, {chosen: weight, rest: 1 - weight})

    def destroy(self, name: str) -> None:
        """See Adapter."""
        if name not in self._functions.names():  # what a failed apply left has a name too
            self._known(name)
        self._functions.forget(name)

    def _exact(self, spec: FunctionSpec) -> tuple[FunctionSpec, Entry]:
        entry = self._store.get("bento", spec.bento)
        return dataclasses.replace(spec, bento=entry.tag), entry

    def _live(self, name: str) -> Stored | None:
        """The version that gets most of the requests."""
        weights = self._functions.weights(name)
        found = [each for each in self._functions.stored(name) if each.number in weights]
        return max(found, key=lambda each: weights[each.number], default=None)

    def _begun(self, spec: FunctionSpec, digest: str) -> Stored | None:
        """The version that an interrupted apply of the same spec wrote down."""
        stored, weights = self._functions.stored(spec.name), self._functions.weights(spec.name)
        last = stored[-1] if stored else None
        newer = last is not None and last.number > max(weights, default=0)
        return last if last is not None and newer and last.same(spec, digest) else None

    def _new(self, spec: FunctionSpec, digest: str) -> Stored:
        stored = self._functions.stored(spec.name)
        number = stored[-1].number + 1 if stored else 1
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        version = Stored(number, spec, digest, created)
        self._functions.keep(version, spec.name)
        return version

    def _give(self, name: str, weights: dict[int, float]) -> Deployed:
        changed = weights != self._functions.weights(name)
        if changed:
            self._functions.switch(name, weights)
        live = self._live(name)
        assert live is not None
        return _deployed(live, changed=changed)

    def _tidy(self, name: str) -> None:
        """Remove what is too old; what fails of that is left to the next apply."""
        try:
            self._functions.prune(name, _KEPT)
            self._functions.remove_unused_bentos()
        except UserError:
            return

    def _deployed(self) -> list[str]:
        return [name for name in self._functions.names() if self._functions.weights(name)]

    def _known(self, name: str) -> str:
        known = self._deployed()
        if name not in known:
            raise UserError(
                f"There is no function {name!r} on target folder; "
                f"deployed: {', '.join(known) or 'none'}."
            )
        return name


def _deployed(version: Stored, *, changed: bool) -> Deployed:
    return Deployed(
        name=version.spec.name,
        url="",
        version=version.number,
        bento=version.spec.bento,
        digest=version.digest,
        changed=changed,
        snapshot="none",
    )


def _status(version: Stored) -> FunctionStatus:
    return FunctionStatus(
        name=version.spec.name,
        url="",
        version=version.number,
        bento=version.spec.bento,
        digest=version.digest,
        deployed=version.created,
        state="zero",
        snapshot="none",
    )
