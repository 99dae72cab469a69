"""Serving a bento with several processes, in the foreground."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError
from bentofn.runtime.http.serving import BACKLOG
from bentofn.runtime.obstacles import Sites
from bentofn.runtime.obstacles.forks import why_not_fork
from bentofn.runtime.proxy import addresses
from bentofn.runtime.service import Service
from bentofn.runtime.supervisor.children import Child, Children, fork, spawn
from bentofn.runtime.supervisor.plan import INHERITED, Process
from bentofn.runtime.supervisor.reports import ALONE, FAILED, READY, Report
from bentofn.runtime.supervisor.worker import Role, be

_ATTEMPTS = 3
"""Starts of a process after which a server that does not serve yet gives up."""


def run(
    service: Service[Any], processes: tuple[Process, ...], listener: socket.socket, shown: str
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        service: The entry, imported.
        processes: From :func:`bentofn.runtime.supervisor.machine.processes_of`.
        listener: The socket that the outside asks.
        shown: What to print once all processes serve.

    Raises:
        UserError: A service does not start.
    """
    with tempfile.TemporaryDirectory(prefix="bentofn-") as directory:
        _Supervisor(service, processes, listener, shown, Path(directory)).run()


class _Supervisor:
    def __init__(
        self,
        service: Service[Any],
        processes: tuple[Process, ...],
        listener: socket.socket,
        shown: str,
        directory: Path,
    ) -> None:
        self._entry = service
        self._services = service.all_services(exclude_urls=True)
        self._processes = {process.service: process for process in processes}
        self._shown = shown
        self._directory = directory
        self._secret = secrets.token_hex(16)
        self._failure = ""
        self._ready: Counter[str] = Counter()
        self._serves = False
        self._hears, self._reports = os.pipe()
        os.set_inheritable(self._reports, True)
        self._listeners = {service.name: listener}
        self._addresses = self._listen()
        self._own, self._everyone = self._own_sockets()
        self._children = Children(self._hears, self._hear, self._ended)
        self._early_ends: Counter[str] = Counter()
        self._copies = why_not_fork(self._fds(), Sites()) is None

    def run(self) -> None:
        for name in self._processes:
            self._children.add(Child(name, partial(self._start, name, None), self._stage(name)))
        try:
            self._children.run()
        finally:
            for each in (*self._listeners.values(), *chain(*self._own.values())):
                each.close()
            os.close(self._hears)
            os.close(self._reports)
        if self._failure:
            raise UserError(self._failure)

    def _listen(self) -> Mapping[str, str]:
        """Open the sockets of the services that only the others ask."""
        paths = {}
        for number, name in enumerate(self._processes):
            if name != self._entry.name:
                paths[name] = str(self._directory / f"{number}.sock")
                self._listeners[name] = _unix_listener(paths[name])
        return paths

    def _own_sockets(self) -> tuple[dict[str, list[socket.socket]], tuple[str, ...]]:
        """Open the sockets by which each worker is asked for its metrics."""
        own: dict[str, list[socket.socket]] = {}
        paths = []
        for number, process in enumerate(self._processes.values()):
            own[process.service] = []
            prefix = self._services[process.service].path_prefix
            for index in range(1, process.workers + 1):
                path = str(self._directory / f"{number}-{index}.sock")
                own[process.service].append(_unix_listener(path))
                paths.append(f"{path}#{prefix}")
        return own, tuple(paths)

    def _fds(self) -> list[int]:
        return [each.fileno() for each in (*self._listeners.values(), *chain(*self._own.values()))]

    def _start(self, name: str, index: int | None) -> int:
        role = self._role(name, index)
        if self._copies:
            return fork(partial(be, role, self._services[name], dict(os.environ)))
        for fd in role.fds:
            os.set_inheritable(fd, True)
        return spawn({**os.environ, **role.env, INHERITED: role.to_text()}, role.fds)

    def _role(self, name: str, index: int | None) -> Role:
        process = self._processes[name]
        siblings = addresses.Addresses(self._addresses, self._secret)
        env = {addresses.VARIABLE: siblings.to_text(), **process.env}
        if name != self._entry.name:
            env[addresses.ROLE] = name
        return Role(
            process=process,
            alone=index,
            listen=self._listeners[name].fileno(),
            own=tuple(each.fileno() for each in self._own[name]),
            everyone=self._everyone,
            reports=self._reports,
            env=env,
        )

    def _stage(self, name: str) -> int:
        """Those that nobody depends on are stopped first: what they do still needs the others."""
        return max(
            (
                self._stage(other) + 1
                for other, each in self._services.items()
                if any(dep.on is self._services[name] for dep in each.dependencies.values())
            ),
            default=0,
        )

    def _ended(self, child: Child) -> None:
        self._early_ends[child.name] += not self._serves
        if self._early_ends[child.name] >= _ATTEMPTS:
            self._give_up(child.name, f"it {child.ending}")

    def _give_up(self, name: str, why: str) -> None:
        self._failure = self._failure or f"{name} does not start: {why}"
        if name in self._addresses:
            # Who waits for it would hold up the end of the others.
            Path(self._addresses[name]).unlink(missing_ok=True)
            _turn_away(self._listeners[name])
        self._children.stop()

    def _hear(self, line: str) -> None:
        said = Report.read(line)
        if said is None or said.service not in self._processes:
            print(f"Not a report of a worker: {line}", file=sys.stderr)
        elif said.kind == FAILED:
            if self._serves:
                print(f"{said.service} does not start: {said.text}", file=sys.stderr)
            else:
                self._give_up(said.service, said.text)
        elif said.kind == ALONE:
            self._start_apart(said.service, said.text)
        elif said.kind == READY:
            self._ready[said.service] += 1
            wanted = self._processes.values()
            if not self._serves and all(self._ready[p.service] >= p.workers for p in wanted):
                self._serves = True
                print(self._shown, flush=True)

    def _start_apart(self, name: str, why: str) -> None:
        """Start the workers of a service that cannot be copied one by one, once."""
        if any(child.name == f"worker 2 of {name}" for child in self._children.children):
            return
        print(f"The workers of {name} are started one by one: {why}", file=sys.stderr)
        for index in range(2, self._processes[name].workers + 1):
            child = Child(
                f"worker {index} of {name}", partial(self._start, name, index), self._stage(name)
            )
            self._children.add(child)


def _unix_listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(BACKLOG)
    return listener


def _turn_away(listener: socket.socket) -> None:
    """Close the connections that nobody has accepted."""
    listener.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()
