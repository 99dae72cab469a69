"""One running copy of a service, started from nothing, out of a template or from a snapshot."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from bentofn.runtime import asgi, lifecycle, lifeline, threads
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.http.first_request import tell_of_first
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.namespaces import Namespaces, isolate
from bentofn.runtime.protocol import Channel, Failed, Ready
from bentofn.runtime.stages import stage


def main(options: Mapping[str, str]) -> int:
    """The ``instance`` process: a plain start on the sockets that the platform passed."""
    control = Channel(int(options["control-fd"]))
    listener = open_listener(int(options["listen-fd"]))
    with stage("isolate"):
        isolate(Namespaces.find(), os.environ)()
    threads.allow(os.environ, int(options.get("threads", "1")))
    lifeline.die_with_parent()
    return live(lambda: start_service(options, control), listener, control)


def start_service(options: Mapping[str, str], control: Channel) -> ServerConfig:
    """Start a service from its import, up to where it can serve.

    Args:
        options: Of the boot process.
        control: The platform.

    Raises:
        Exception: Whatever keeps it from starting.
    """
    with lifeline.Watch(control.socket):
        prepared = lifecycle.prepare(options)
        with stage("server"):
            config = asgi.configure(prepared.served, websockets=prepared.app.has_mounts)
    with stage("settle"):
        lifecycle.settle()
    with stage("after_restore"):
        run_after_restore(prepared.instance)
    return config


def live(
    start: Callable[[], ServerConfig],
    listener: socket.socket,
    control: Channel,
    heed: Callable[[socket.socket], bool] = lifeline.heed,
) -> int:
    """Serve until told to stop, and tell the platform how it goes.

    Args:
        start: What is left to do before serving.
        listener: The socket to serve on.
        control: The platform.
        heed: Called when the platform says something; says whether to stop serving.

    Returns:
        The process's exit status.
    """
    try:
        asgi.run(
            tell_of_first(start()),
            listener,
            on_ready=lambda: control.send(Ready(os.getpid())),
            control=control.socket,
            heed=heed,
        )
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return 1
    return 0


def open_listener(fd: int) -> socket.socket:
    """The listening socket that the platform passed; children of the service do not get it."""
    listener = socket.socket(fileno=fd)
    listener.set_inheritable(False)
    return listener


def redirect_output(fds: Mapping[str, int]) -> None:
    """Write to the descriptors that came for ``stdout`` and ``stderr`` from now on."""
    for name, standard in (("stdout", 1), ("stderr", 2)):
        os.dup2(fds[name], standard)
        os.close(fds[name])
