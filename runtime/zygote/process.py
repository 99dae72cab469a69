"""The ``zygote`` process, and how a copy of it becomes an instance."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import uvicorn

from bentofn.runtime import instance, lifecycle, lifeline, original, renew, threads
from bentofn.runtime.clones import Nursery
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.obstacles.forks import why_not_fork
from bentofn.runtime.obstacles.sites import Sites
from bentofn.runtime.protocol import Channel, Failed, Fork, Refused, Threaded, Warmed
from bentofn.runtime.zygote import relocation, variables
from bentofn.runtime.zygote.packages import Imported, ThreadStartedError, import_packages


def main(options: Mapping[str, str]) -> int:
    """The ``zygote`` process. Returns in the zygote, and once in every clone.

    ``--source`` is a directory with nothing to import, since a zygote has no project;
    ``--without`` lists packages that are not imported.
    """
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
    refusal = why_not_fork([control.fileno()], Sites())
    if refusal is not None:
        control.send(Refused(refusal))
        return 1
    renewable = original.make_copyable(None)
    control.send(Warmed(os.getpid(), sorted(imported.read)))
    clone = Nursery(control).serve()
    if clone is None:
        os._exit(0)
    return clone.live(partial(_start, clone.request, imported, renewable))


def _start(
    request: Fork,
    imported: Imported,
    renewable: lifecycle.Renewable,
    control: Channel,
    seal: Callable[[], None],
) -> uvicorn.Config:
    """Turn this process, a copy of the zygote, into an instance of the bento asked for."""

    def refuse(why: str) -> None:
        """Leave at once: nothing of the project's may go on with the wrong modules."""
        control.send(Refused(why))
        original.flush()
        os._exit(1)

    environment = {**request.env, **imported.written}
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
    renew.renew(renewable.renewals)
    seal()
    with variables.guard(imported.read, lambda variable: refuse(_set_late(variable))):
        return instance.start_service(places, control)


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
