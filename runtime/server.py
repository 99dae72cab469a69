"""``bentofn serve``: a project or a bento in the foreground, in one process or in several."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bentofn.runtime import asgi, current, lifecycle, lifeline, on_deployment, threads
from bentofn.runtime.checkpoints.renewed import Renewed
from bentofn.runtime.checkpoints.waiting import VARIABLE
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.http.serving import BACKLOG, ServerConfig
from bentofn.runtime.protocol import TAKEN_OUT
from bentofn.runtime.service import Service
from bentofn.runtime.supervisor.machine import processes_of
from bentofn.runtime.supervisor.plan import ALONE, INHERITED, Process

HOST, PORT = "127.0.0.1", 3000
"""Where a service is served by default. BentoML's host is every address of the machine."""


def listen(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """Open a listening TCP socket.

    Args:
        host: The address.
        port: The port; 0 takes a free one.
        backlog: Connections that wait to be accepted.

    Raises:
        UserError: The address cannot be bound.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise UserError(
            f"Cannot listen on {host}:{port}: there is no such address; give one of this machine."
        ) from None
    listener = socket.socket(family, kind, proto)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise UserError(_why_not_bound(host, port, error)) from None
    return listener


def _why_not_bound(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another process; choose another with --port or PORT."
    if error.errno == errno.EACCES:
        return f"Port {port} needs privileges; choose one above 1023 with --port or PORT."
    return f"Cannot listen on {host}:{port}: {error.strerror}; give an address of this machine."


def serve(target: str, directory: Path, host: str | None, port: int | None) -> None:
    """Serve a project, for ``bentofn serve``, until Ctrl-C or SIGTERM.

    Args:
        target: As :func:`bentofn.runtime.loading.load_service` takes it.
        directory: The project.
        host: Address to bind; None takes the service's ``http.host``, or this machine only.
        port: Port to bind; 0 takes a free one, None the service's ``http.port``, or 3000.

    Raises:
        UserError: The service does not start, or the port cannot be bound.
    """
    _serve(lambda: lifecycle.import_service(target, directory), host, port)


def serve_service(service: Service[Any], host: str | None, port: int | None) -> None:
    """Serve a service that is imported, as :func:`serve` does."""
    _serve(lambda: service, host, port)


def main(options: Mapping[str, str]) -> int:
    """The ``serve`` process of a bento: the same, from its root; ``PORT`` says where by default."""
    threads.calm(os.environ)
    try:
        port = options.get("port") or os.environ.get("PORT")
        _serve(lambda: lifecycle.load(options), options.get("host"), _port(port) if port else None)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 16:
        raise UserError(f"{text!r} is not a port; set PORT to a number below 65536.")
    return int(text)


def _serve(load: Callable[[], Service[Any]], host: str | None, port: int | None) -> None:
    current.become_worker()
    if INHERITED in os.environ:
        _be_inherited(load)
    try:
        service = load()
    except Exception as error:
        raise UserError(lifecycle.explain(error)) from None
    http = service.config.get("http", {})
    port = http.get("port", PORT) if port is None else port
    backlog = service.config.get("backlog", BACKLOG)
    listener = partial(listen, host or str(http.get("host", HOST)), port, backlog)
    if os.environ.get(VARIABLE):
        started = _start_checkpointed(service)
        with listener() as opened:
            _serve_alone(started, opened)
    else:
        with listener() as opened:
            _answer(service, opened)


def _be_inherited(load: Callable[[], Service[Any]]) -> NoReturn:
    """Be a process of a supervisor that could not copy itself."""
    from bentofn.runtime.supervisor.reports import FAILED, Report
    from bentofn.runtime.supervisor.worker import Role, be

    role = Role.from_text(os.environ.pop(INHERITED))
    os.environ.update(role.env)
    env = dict(os.environ)
    os.setpgid(0, 0)
    lifeline.die_with_parent()
    if role.is_parent:
        threads.forbid(os.environ)
    try:
        service = load()
    except Exception as error:
        Report(FAILED, role.process.service, lifecycle.explain(error)).send(role.reports)
        sys.exit(1)
    sys.exit(be(role, service.find_dependent_by_name(role.process.service), env))


@dataclass(frozen=True)
class _Started:
    """A service that one process serves.

    Args:
        prepared: It.
        config: How it is served.
    """

    prepared: lifecycle.Prepared
    config: ServerConfig

    @classmethod
    def start(cls, service: Service[Any], process: Process) -> _Started:
        """Bring it to its snapshot point."""
        os.environ.update(process.env)
        prepared = lifecycle.prepare_service(service)
        tls, websockets = service.config.get("ssl", {}), prepared.app.has_mounts
        app = Renewed(prepared.served, prepared.instance)
        return cls(prepared, asgi.configure(app, tls, websockets=websockets))


def _answer(service: Service[Any], listener: socket.socket) -> None:
    try:
        _set_up(service)
        processes = processes_of(service)
        started = _Started.start(service, processes[0]) if _is_one(processes) else None
        if started is not None:
            lifecycle.settle()
            run_after_restore(started.prepared.instance)
    except Exception as error:
        raise UserError(lifecycle.explain(error)) from None
    if started is None:
        from bentofn.runtime.supervisor.run import run  # one process does without it

        run(service, processes, listener, _shown(service, listener))
    else:
        _serve_alone(started, listener)


def _start_checkpointed(service: Service[Any]) -> _Started:
    """Start a service that one process serves, and wait until that process was restored."""
    from bentofn.runtime.checkpoints import waiting  # few services do

    ready = Path(os.environ.pop(VARIABLE)).absolute()
    waiting.withdraw(ready)
    os.environ[TAKEN_OUT] = "1"  # for what loads weights, which are dropped
    try:
        _set_up(service)
        processes = processes_of(service)
        if not _is_one(processes):
            raise UserError(
                f"{VARIABLE} is for what one process serves, and {service.name} has several; set "
                f"{ALONE}=1 too, with which one process serves all."
            )
        started = _Started.start(service, processes[0])
        waiting.become_restored(started.prepared.instance, processes[0].threads, ready)
    except Exception as error:
        raise UserError(lifecycle.explain(error)) from None
    return started


def _is_one(processes: Sequence[Process]) -> bool:
    return len(processes) == 1 and processes[0].workers == 1


def _serve_alone(started: _Started, listener: socket.socket) -> None:
    shown = _shown(started.prepared.service, listener)
    asgi.run(started.config, listener, lambda: print(shown, flush=True))


def _shown(service: Service[Any], listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    where = f"[{host}]" if ":" in host else host
    scheme = "https" if service.config.get("ssl", {}).get("enabled") else "http"
    return f"{service.name} serves at {scheme}://{where}:{port} (Ctrl-C stops it)"


def _set_up(service: Service[Any]) -> None:
    """Do what is done once, whatever the number of processes."""
    for env in service.envs:
        if env.value is not None and env.stage != "build":
            os.environ.setdefault(env.name, env.value)
    on_deployment.run_hooks(service)
