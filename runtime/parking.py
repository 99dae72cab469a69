"""A process that parks to be kept, and becomes what is asked for once it is restored.

CRIU keeps what a process holds, and restores it as it was. So a parked process holds nothing of the
world outside: its standard streams are ``/dev/null``, its control socket is closed, and one regular
file is open, the *wire*. A restore puts a connected socket in that file's place (CRIU's
``inherit-fd``), and through it comes a :class:`bentofn.runtime.protocol.Restore`.

Source: https://criu.org/Inheriting_FDs_on_restore
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bentofn.runtime import instance, lifecycle, lifeline, original, stages, template, threads
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.http.warmup import send_examples
from bentofn.runtime.namespaces import Namespaces, hidden_paths, isolate
from bentofn.runtime.obstacles import Sites, why_not_snapshot
from bentofn.runtime.obstacles.forks import why_not_fork
from bentofn.runtime.orders import Orders
from bentofn.runtime.original import Original
from bentofn.runtime.protocol import (
    RESTORE_FDS,
    TAKEN_OUT,
    Channel,
    Failed,
    Message,
    Park,
    Ready,
    Refused,
    Rehearse,
    Rehearsed,
    Restore,
)

TICK = 1000
"""Milliseconds between two looks at the wire. A restore interrupts the wait, so nobody waits this
long, but a process that was dumped between its look and its wait."""


@dataclass(frozen=True)
class System:
    """The system calls that a restored process makes and Python has no function for.

    Looked up before the snapshot: a lookup reads pages that a restore would have to fetch.
    """

    poll: Any
    prctl: Any
    namespaces: Namespaces | None

    @classmethod
    def find(cls) -> System:
        """Look them up in the C library."""
        libc = ctypes.CDLL(None)
        return cls(libc.poll, libc.prctl, Namespaces.find())


def main(options: Mapping[str, str]) -> int:
    """The ``snapshot`` process: process 1 of a namespace of its own. Returns in every restore."""
    os.setsid()
    control = Channel(int(options["control-fd"]))
    lifeline.die_with_parent()
    threads.forbid(os.environ)
    taken_out = TAKEN_OUT in os.environ
    why_not = partial(why_not_snapshot, gpu=True) if taken_out else why_not_snapshot
    prepared = original.prepare(options, control, why_not)
    if prepared is None or (taken_out and not _settle_gpu(control)):
        return 1
    wire, system = os.open(options["wire"], os.O_RDWR), System.find()
    control.send(Ready(os.getpid()))
    leave(control)
    return become(park(wire, system), prepared, system)


def _settle_gpu(control: Channel) -> bool:
    from bentofn.runtime.cuda import quiet  # few services use one

    try:
        dropped = sys.modules.get("bentofn.runtime.weights.dropped")
        if dropped is not None:
            dropped.drop()
        quiet.settle()
    except Exception as error:
        control.send(Refused(lifecycle.explain(error)))
        return False
    return True


def leave(control: Channel) -> None:
    """Let go of the platform: its pipes and its control socket."""
    original.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)
    control.close()


def park(wire: int, system: System) -> Channel:
    """Wait until a restore has put a socket in the wire's place; returns it."""
    while not stat.S_ISSOCK(os.fstat(wire).st_mode):
        system.poll(None, 0, TICK)
    return Channel(wire)


@dataclass(frozen=True)
class Arrival:
    """What a process finds that was just restored.

    Args:
        request: What it is to be.
        fds: What it is given for that, by name.
        control: The platform.
    """

    request: Restore
    fds: Mapping[str, int]
    control: Channel


def arrive(wire: Channel, system: System) -> Arrival | None:
    """Hear what to be, and write and live as the platform wants; None when it has gone."""
    began = time.time_ns()
    request = asked(wire)
    if request is None:
        return None
    stages.begin(request.env)
    fds = wire.take_fds(RESTORE_FDS[request.kind])
    wire.close()
    control = Channel(fds["control"])
    instance.redirect_output(fds)
    system.prctl(*lifeline.DIE_WITH_PARENT)
    lifeline.check(control.socket)
    stages.since("orders", began)
    return Arrival(request, fds, control)


def become(wire: Channel, prepared: Original, system: System) -> int:
    """Live as what the platform asks for through the wire; returns the exit status."""
    while True:
        arrival = arrive(wire, system)
        if arrival is None:
            return 1
        request, control = arrival.request, arrival.control
        if request.kind == "template":
            return _be_template(request, prepared, control, system)
        orders = _Orders(control, prepared.app)
        start = partial(_configure, prepared, request, system)
        listener = instance.open_listener(arrival.fds["listen"])
        status = instance.live(start, listener, orders)
        if status or orders.park is None:
            return status
        again = original.prepare_again(prepared, control, why_not_snapshot)
        if again is None:
            return 1
        if system.namespaces is not None:
            system.namespaces.uncover(hidden_paths(request.env))
        placeholder = os.open(orders.park.wire, os.O_RDWR)
        control.send(Ready(os.getpid()))
        leave(control)
        wire, prepared = park(placeholder, system), again


def _be_template(request: Restore, prepared: Original, control: Channel, system: System) -> int:
    """Fork on request; returns in the template and in every clone."""
    # Not sealed: it takes privileges to keep its clones apart.
    isolate(system.namespaces, request.env, mounted=request.private_mounts)
    # A snapshot may hold what no fork survives, such as threads.
    refusal = why_not_fork([control.fileno()], Sites())
    if refusal is not None:
        control.send(Refused(refusal))
        return 1
    control.send(Ready(os.getpid()))
    return template.serve(prepared, control)


class _Orders(Orders):
    """What the platform says to an instance that was restored.

    Args:
        control: The platform.
        app: What it serves.
    """

    def __init__(self, control: Channel, app: ServiceApp) -> None:
        super().__init__(control)
        self.park: Park | None = None
        self._app = app
        self._rehearsal: asyncio.Task[None] | None = None

    def hear(self, message: Message) -> None:
        """See :class:`bentofn.runtime.orders.Orders`."""
        super().hear(message)
        if isinstance(message, Park):
            self.park = message
        elif isinstance(message, Rehearse):
            self._rehearsal = asyncio.get_running_loop().create_task(self._rehearse())

    @property
    def stops(self) -> bool:
        """See :class:`bentofn.runtime.orders.Orders`."""
        return super().stops or self.park is not None

    async def _rehearse(self) -> None:
        try:
            await send_examples(self._app)
        except Exception as error:
            self.control.send(Failed(lifecycle.explain(error)))
        else:
            self.control.send(Rehearsed())


def _configure(prepared: Original, request: Restore, system: System) -> ServerConfig:
    with stages.stage("isolate"):
        seal = isolate(system.namespaces, request.env, mounted=request.private_mounts)
    if request.parks_again:
        seal = _keep_privileges
    return prepared.configure_copy(request.env, request.threads, seal)


def _keep_privileges() -> None:
    """Whoever parks again gives its mounts back, and what it is restored to takes them anew."""


def asked(wire: Channel) -> Restore | None:
    """What a process is to be; None when the platform has gone."""
    while (messages := wire.receive()) is not None:
        for message in messages:
            if isinstance(message, Restore):
                return message
    return None
