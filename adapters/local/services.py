"""The services of a deployed bento beside its entry: each is a function that only the bento sees.

Each has a pool of its own, so that it scales, starts and goes to zero by itself, and is reached
through a socket of the platform's. The address is in the environment of the bento's instances,
with a secret that tells them from other functions' instances.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import os
import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.front.front import Front
from bentofn.adapters.local.front.request import Request
from bentofn.adapters.local.isolation.limits import MEBI
from bentofn.adapters.local.replies import error_response
from bentofn.adapters.protocol import FunctionSpec, InstanceStatus, Progress
from bentofn.packager.files import make_directory, remove_tree
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import ServiceContract
from bentofn.runtime.proxy.addresses import HEADER, ROLE, VARIABLE, Addresses
from bentofn.runtime.proxy.peers import is_own_user
from bentofn.runtime.supervisor.plan import cores_of

if TYPE_CHECKING:
    from bentofn.adapters.local.functions import Function

_BACKLOG = 2048
_NOT_YOURS = "Only the bento's own services may ask it."
_LARGEST = 1 << 30
"""Bytes that the arguments of one call may hold: they never leave the machine."""

_UNITS: Mapping[str | None, float] = {
    **{None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    **{"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40},
}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")


class Services:
    """The services of one version of a function.

    Args:
        names: What they are called.
        directory: A directory of its own for their sockets, which instances see.
    """

    def __init__(self, names: list[str], directory: Path) -> None:
        self.functions: dict[str, Function] = {}
        self._directory = directory
        self._secret = secrets.token_hex(16)
        _make_private(directory)
        self._sockets = {name: directory / f"{i}.sock" for i, name in enumerate(names)}
        self._listeners = {name: _listener(path) for name, path in self._sockets.items()}
        self._serving: list[tuple[Front, asyncio.Task[None]]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What tells an instance where they are."""
        paths = {name: str(path) for name, path in self._sockets.items()}
        return {VARIABLE: Addresses(paths, self._secret).to_text()}

    def add(self, name: str, function: Function) -> None:
        """Answer for a service from now on.

        Args:
            name: The service's name.
            function: What runs it, with its revision.
        """
        # They forward to functions, which have services.
        from bentofn.adapters.local import proxy, websockets

        self.functions[name] = function

        async def answer(request: Request, transport: asyncio.Transport) -> bool:
            if self._may_ask(request.headers, transport):
                await proxy.answer(request, function, request.target, _LARGEST)
            else:
                await request.error(403, _NOT_YOURS)
            return True

        async def talk(request: web.BaseRequest) -> web.StreamResponse:
            if not self._may_ask(request.headers, request.transport):
                return error_response(403, _NOT_YOURS)
            return await websockets.answer(request, function, request.raw_path, _LARGEST)

        front = Front(answer, talk)
        opening = front.listen(self._listeners[name], _BACKLOG)
        self._serving.append((front, asyncio.get_running_loop().create_task(opening)))

    def _may_ask(self, headers: Mapping[str, str], transport: asyncio.BaseTransport | None) -> bool:
        connection = transport.get_extra_info("socket") if transport is not None else None
        given = headers.get(HEADER, "").encode(errors="replace")
        known = hmac.compare_digest(given, self._secret.encode())
        return known and connection is not None and is_own_user(connection)

    async def verify(self, progress: Progress, *, wait: bool) -> None:
        """Start an instance of each.

        Args:
            progress: Told about each step.
            wait: Whether to wait until fast starts are prepared.

        Raises:
            UserError: One does not start.
        """
        for name, function in self.functions.items():
            revision = function.live
            assert revision is not None
            try:
                preparation = revision.launcher.prepare() if wait else None
                if preparation is not None:
                    progress(f"Preparing fast starts of {name}")
                    await preparation
                progress(f"Starting an instance of {name}")
                await revision.verify()
            except UserError as error:
                raise UserError(f"its service {name}: {error}") from error

    def open(self) -> None:
        """Start the instances that are kept without requests."""
        for function in self.functions.values():
            if function.live is not None:
                function.live.open()

    def instances(self) -> tuple[InstanceStatus, ...]:
        """What runs now."""
        return tuple(
            dataclasses.replace(instance, service=name)
            for name, function in self.functions.items()
            if function.live is not None
            for instance in function.live.instances()
        )

    async def close(self, patience: float) -> None:
        """Stop all of them.

        Args:
            patience: Seconds for running calls to finish.
        """
        functions = self.functions.values()
        await asyncio.gather(*(each.tasks.close(patience) for each in functions))
        revisions = [each.live for each in functions if each.live is not None]
        await asyncio.gather(*(revision.close(patience) for revision in revisions))
        for front, opening in self._serving:
            await opening
            await front.close(patience)
        for listener in self._listeners.values():
            listener.close()
        remove_tree(self._directory)
        with contextlib.suppress(OSError):  # others of the platform's are there
            self._directory.parent.rmdir()


def in_order(services: Sequence[ServiceContract]) -> list[ServiceContract]:
    """The services, each after those that it depends on."""
    known = {each.name: each for each in services}
    ordered: dict[str, ServiceContract] = {}

    def add(each: ServiceContract) -> None:
        for name in each.dependencies.values():
            if name in known and name not in ordered:
                add(known[name])
        ordered[each.name] = each

    for each in services:
        add(each)
    return list(ordered.values())


def spec_of(
    spec: FunctionSpec, service: ServiceContract, environment: Mapping[str, str]
) -> FunctionSpec:
    """How a service of a function runs: as the service itself says, else as the function does.

    Args:
        spec: The function.
        service: The service.
        environment: Where the services are.
    """
    resources = service.config.get("resources") or {}
    traffic = service.config.get("traffic") or {}
    settings = dataclasses.replace(
        spec.settings,
        cpu=cores_of(resources.get("cpu")),
        memory=memory_of(resources.get("memory")),
        timeout=float(traffic.get("timeout", spec.settings.timeout)),
        concurrency=traffic.get("concurrency"),
        environment={**spec.settings.environment, **environment, ROLE: service.name},
        url=None,
        event_rules=None,
        events=(),
        schedules=(),
    )
    name = re.sub(r"[^A-Za-z0-9_-]", "-", service.name)
    return FunctionSpec(f"{spec.name}.{name}", spec.bento, settings)


def with_gpus_of_services(spec: FunctionSpec, contract: ServiceContract) -> FunctionSpec:
    """A function, each of whose services has the GPUs that it asks for itself if any does.

    Its own ``gpu`` would give each of them one, also those that only call the others: these would
    wait for the GPU of who waits for their answer.

    Args:
        spec: The function.
        contract: The entry's.
    """
    every = (contract, *contract.services)
    if not any((each.config.get("resources") or {}).get("gpu") for each in every):
        return spec
    return dataclasses.replace(spec, settings=dataclasses.replace(spec.settings, gpu=None))


def entry_spec(spec: FunctionSpec, environment: Mapping[str, str]) -> FunctionSpec:
    """A function with what tells its instances where the services are."""
    given = {**spec.settings.environment, **environment}
    settings = dataclasses.replace(spec.settings, environment=given)
    return dataclasses.replace(spec, settings=settings)


def bento_of(bento: LocalBento, service: ServiceContract) -> LocalBento:
    """A bento as it is for one of its services."""
    manifest = dataclasses.replace(bento.manifest, contract=service)
    return dataclasses.replace(bento, manifest=manifest)


def memory_of(quantity: Any) -> int | None:
    """MiB of ``resources.memory`` in Kubernetes's notation: "512Mi", "1G", or a number of bytes."""
    found = _MEMORY.fullmatch(str(quantity)) if quantity is not None else None
    if found is None:
        return None
    return max(1, round(float(found[1]) * _UNITS[found[2]] / MEBI))


def _make_private(directory: Path) -> None:
    """Make an empty directory, in a place that is this user's own.

    Raises:
        UserError: Somebody else made the place.
    """
    place = directory.parent
    make_directory(place, 0o700)
    if place.is_symlink() or place.stat().st_uid != os.getuid():
        raise UserError(f"{place} belongs to another user; set TMPDIR elsewhere.")
    remove_tree(directory)
    directory.mkdir(mode=0o700)


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(_BACKLOG)
    return listener
