"""The ``zygote`` process, and how a copy of it becomes an instance."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from bentofn.runtime import (
    instance,
    lifecycle,
    lifeline,
    original,
    parking,
    renew,
    template,
    threads,
)
from bentofn.runtime.clones import Nursery
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.namespaces import isolate
from bentofn.runtime.obstacles import Sites, why_not_snapshot
from bentofn.runtime.obstacles.forks import why_not_fork
from bentofn.runtime.orders import Orders
from bentofn.runtime.parking import Arrival, System
from bentofn.runtime.protocol import (
    Channel,
    Failed,
    Fork,
    Ready,
    Refused,
    Restore,
    Threaded,
    Warmed,
)
from bentofn.runtime.stages import stage
from bentofn.runtime.zygote import relocation, variables
from bentofn.runtime.zygote.packages import Imported, ThreadStartedError, import_packages


@dataclass(frozen=True)
class Zygote:
    """What copies of this process start from.

    Args:
        imported: Its modules.
        renewable: What its copies must not share.
    """

    imported: Imported
    renewable: lifecycle.Renewable


def main(options: Mapping[str, str]) -> int:
    """The ``zygote`` process. Returns in the zygote, and once in every clone or restore.

    ``--source`` is a directory with nothing to import, since a zygote has no project;
    ``--without`` lists packages that are not imported. With ``--wire`` it parks to be kept as a
    snapshot (:mod:`bentofn.runtime.parking`), without it forks.
    """
    parks = "wire" in options
    if parks:
        os.setsid()
    control = Channel(int(options["control-fd"]))
    lifeline.die_with_parent()
    threads.forbid(os.environ)
    without = frozenset(filter(None, options.get("without", "").split(",")))
    try:
        with lifeline.Watch(control.socket), _humble():
            imported = import_packages(options, without)
    except ThreadStartedError as error:
        control.send(Threaded(str(error)))
        return 1
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return 1
    refusal = (why_not_snapshot if parks else why_not_fork)([control.fileno()], Sites())
    if refusal is not None:
        control.send(Refused(refusal))
        return 1
    zygote = Zygote(imported, original.make_copyable(None))
    warmed = Warmed(os.getpid(), sorted(imported.read))
    if parks:
        return _park(zygote, control, warmed, options["wire"])
    return _fork(zygote, control, warmed)


def _fork(zygote: Zygote, control: Channel, warmed: Warmed) -> int:
    control.send(warmed)
    clone = Nursery(control).serve()
    if clone is None:
        os._exit(0)
    return clone.live(partial(_start, clone.request, zygote))


def _park(zygote: Zygote, control: Channel, warmed: Warmed, path: str) -> int:
    wire, system = os.open(path, os.O_RDWR), System.find()
    control.send(warmed)
    parking.leave(control)
    arrival = parking.arrive(parking.park(wire, system), system)
    if arrival is None:
        return 1
    if arrival.request.kind == "template":
        return _be_template(arrival, zygote, system)
    return _be_instance(arrival, zygote, system)


def _be_instance(arrival: Arrival, zygote: Zygote, system: System) -> int:
    request, control = arrival.request, arrival.control

    def start() -> ServerConfig:
        with stage("isolate"):
            seal = isolate(system.namespaces, request.env, mounted=request.private_mounts)
        return _start(request, zygote, control, seal)

    return instance.live(start, instance.open_listener(arrival.fds["listen"]), Orders(control))


def _be_template(arrival: Arrival, zygote: Zygote, system: System) -> int:
    """Be the template of the bento asked for; returns in the template and in every clone."""
    control = arrival.control
    env = dict(arrival.request.env)
    threads.forbid(env)
    request = replace(arrival.request, env=env)
    # Not sealed: it takes privileges to keep its clones apart.
    isolate(system.namespaces, env, mounted=request.private_mounts)
    try:
        with _entered(request, zygote, control) as places:
            prepared = original.prepare(places, control, why_not_fork)
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return 1
    if prepared is None:
        return 1
    control.send(Ready(os.getpid()))
    return template.serve(prepared, control)


def _start(
    request: Fork | Restore, zygote: Zygote, control: Channel, seal: Callable[[], None]
) -> ServerConfig:
    """Turn this process, a copy of the zygote, into an instance of the bento asked for."""
    with _entered(request, zygote, control) as places:
        seal()
        return instance.start_service(places, control)


@contextlib.contextmanager
def _entered(request: Fork | Restore, zygote: Zygote, control: Channel) -> Iterator[dict[str, str]]:
    """Be a process of the bento asked for; what would not be as in a plain start ends it.

    Yields:
        The places of the bento, as a boot process's options.
    """

    def refuse(why: str) -> NoReturn:
        """Leave at once: nothing of the project's may go on with the wrong modules."""
        control.send(Refused(why))
        original.flush()
        os._exit(1)

    imported, renewable = zygote.imported, zygote.renewable
    environment = {**request.env, **imported.written}
    with stage("environment"):
        lifecycle.take_environment(environment, request.threads, renewable.pools)
    variables.renew_copies()
    root = request.env["BENTOFN_ROOT"]
    name = relocation.shadowed(str(BentoRoot(Path(root)).source))
    if name is not None:
        refuse(
            f"its module {name} has the name of one that the packages import; rename it to "
            "start from the packages' zygote"
        )
    places = relocation.enter(root, imported.places)
    with stage("renew"):
        renew.renew(renewable.renewals)
    with variables.guard(imported.read, lambda variable: refuse(_set_late(variable))):
        yield places


@contextlib.contextmanager
def _humble() -> Iterator[None]:
    """Work behind whatever answers requests, where the priority can be had back afterwards."""
    if os.geteuid() != 0:
        yield
        return
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


def _set_late(variable: str) -> str:
    return (
        f"it sets {variable}, which modules that its packages' zygote has imported have read "
        "already; set it under environment in serverless.yml, or under envs in bentofile.yaml"
    )
