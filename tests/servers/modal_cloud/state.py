"""What a cloud keeps."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modal_proto import api_pb2


@dataclass
class Version:
    """A version of an app."""

    number: int
    tag: str
    deployed_at: float
    function_ids: dict[str, str]
    class_ids: dict[str, str]
    definition_ids: dict[str, str]
    rollback_version: int = 0
    rollback_allowed: bool = True


@dataclass
class App:
    """An app, the versions that it had, and what was made for the next one."""

    app_id: str
    name: str
    state: int
    tags: dict[str, str] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)
    staged: set[str] = field(default_factory=set)

    @property
    def live(self) -> Version | None:
        """The version that serves."""
        deployed = self.state == api_pb2.APP_STATE_DEPLOYED
        return self.versions[-1] if self.versions and deployed else None


@dataclass
class Function:
    """A function with its definitions, of which a version of the app names one."""

    function_id: str
    app_id: str
    name: str
    definitions: dict[str, api_pb2.Function] = field(default_factory=dict)
    data: dict[str, api_pb2.FunctionData] = field(default_factory=dict)
    metadata: dict[str, api_pb2.FunctionHandleMetadata] = field(default_factory=dict)


@dataclass
class Volume:
    """A volume: its files by path, each by the SHA-256 of its content."""

    volume_id: str
    name: str
    files: dict[str, str] = field(default_factory=dict)


@dataclass
class State:
    """Everything of a workspace.

    ``gpu_restore`` is what gVisor says of the GPU's memory: ``restore``, or ``error``.
    """

    folder: Path
    server_url: str = ""
    doors_url: str = ""
    gpu_restore: str = "restore"
    apps: dict[str, App] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    mounts: dict[str, dict[str, str]] = field(default_factory=dict)
    images: dict[str, api_pb2.Image] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    named_secrets: dict[str, str] = field(default_factory=dict)
    calls: dict[str, Any] = field(default_factory=dict)
    queues: dict[str, Any] = field(default_factory=dict)
    containers: dict[str, Any] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)
    lines: list[tuple[str, str, float, str]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_id(self, prefix: str) -> str:
        """An id as Modal's: two letters, and 22 characters that differ."""
        return f"{prefix}-{next(self._numbers):022d}"

    def app_named(self, name: str) -> App | None:
        """The deployed app of a name."""
        found = (app for app in self.apps.values() if app.name == name and app.live)
        return next(found, None)

    def volume_named(self, name: str) -> Volume | None:
        """The volume of a name."""
        return next((each for each in self.volumes.values() if each.name == name), None)

    def definition(self, app: App, name: str) -> api_pb2.Function:
        """What a live app's function is, by its name."""
        assert app.live is not None
        function = self.functions[app.live.function_ids[name]]
        return function.definitions[app.live.definition_ids[function.function_id]]

    def say(self, app_id: str, task_id: str, text: str) -> None:
        """Write a line to an app's log."""
        self.lines.append((app_id, task_id, time.time(), text))

    async def stop_containers(self, app_id: str = "") -> None:
        """End the containers of an app that is not what they run any more, or all of them."""
        for key, container in list(self.containers.items()):
            if app_id in ("", container.app_id):
                await container.stop()
                self.containers.pop(key, None)

    def leftovers(self) -> list[str]:
        """What belongs to no app that serves: half-made apps, and volumes of nothing."""
        apps = [a.app_id for a in self.apps.values() if a.state == api_pb2.APP_STATE_INITIALIZING]
        names = {f"bentofn.{app.name}" for app in self.apps.values() if app.live}
        return [*apps, *(v.name for v in self.volumes.values() if v.name not in names)]
