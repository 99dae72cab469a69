"""One running copy of a service, started from nothing, out of a template or from a snapshot."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial

from bentofn.runtime import asgi, lifecycle, lifeline, threads
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.namespaces import Namespaces, isolate
from bentofn.runtime.orders import Orders
from bentofn.runtime.protocol import GPUS, Channel, Failed, Ready
from bentofn.runtime.stages import stage


def main(options: Mapping[str, str]) -> int:
    """The ``instance`` process: a plain start on the sockets that the platform passed."""
    control = Channel(int(options["control-fd"]))
    listener = open_listener(int(options["listen-fd"]))
    with stage("isolate"):
        isolate(Namespaces.find(), os.environ)()
    threads.allow(os.environ, int(options.get("threads", "1")))
    lifeline.die_with_parent()
    return live(lambda: start_service(options, control), listener, Orders(control))


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
        _tell_of_gpus(control, early=True)
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
    orders: Orders,
) -> int:
    """Serve until told to stop, and tell the platform how it goes; sleep in between if told to.

    Args:
        start: What is left to do before serving.
        listener: The socket to serve on.
        orders: What the platform says.

    Returns:
        The process's exit status.
    """
    while True:
        control = orders.control
        try:
            config = start()
            asgi.run(
                config,
                listener,
                on_ready=partial(_tell_ready, control),
                control=control.socket,
                heed=orders.heed,
            )
        except Exception as error:
            control.send(Failed(lifecycle.explain(error)))
            return 1
        if orders.wire is None:
            _tell_of_gpus(control)
            return 0
        from bentofn.runtime import sleeping  # few instances do

        woken = sleeping.sleep(orders, orders.wire)
        if woken is None:
            return 1
        listener, orders = woken.listener, Orders(woken.control)
        start = partial(_go_on, woken.renew, config)


def _go_on(renew: Callable[[], None], config: ServerConfig) -> ServerConfig:
    renew()
    return config


def _tell_ready(control: Channel) -> None:
    control.send(Ready(os.getpid()))


def _tell_of_gpus(control: Channel, *, early: bool = False) -> None:
    if os.environ.get(GPUS):
        from bentofn.runtime.cuda.quiet import on_device  # few instances use one

        held = on_device(early=early)
        if held is not None:
            control.send(held)


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
