"""A process with an environment's modules imported and no project: services start as forks of it.

Services that share their packages would each import the same ones. A zygote has imported those that
a start imports, and what it forks enters its bento, imports the project, constructs, warms up and
serves, as in a plain start. It holds no project's code, no model and no project's environment.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import uvicorn

from bentofn.runtime import (
    describe,
    forking,
    instance,
    lifecycle,
    lifeline,
    renew,
    surroundings,
    threads,
    variables,
)
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.namespaces import isolate
from bentofn.runtime.obstacles.sites import Sites
from bentofn.runtime.protocol import Channel, Failed, Refused, Threaded, Warmed
from bentofn.runtime.template import Clone, Nursery

_TASKS = Path("/proc/self/task")


@dataclass(frozen=True)
class Shared:
    """What the copies of a zygote take over from it.

    Args:
        places: ``runtime`` and ``env``: the trees that its modules were imported from.
        read: The environment variables that were read while they were imported.
        written: Those that the modules set, to their values.
        pools: The compute thread pools of what is loaded.
    """

    places: Mapping[str, str]
    read: frozenset[str]
    written: Mapping[str, str]
    pools: threads.Pools


class ThreadStartedError(Exception):
    """Importing a module started a thread; the message is the module's package."""


def main(options: Mapping[str, str]) -> int:
    """The ``zygote`` process. Returns in the zygote, and once in every clone.

    ``--source`` is a directory with nothing to import, since a zygote has no project;
    ``--without`` lists packages that are not imported.
    """
    control = Channel(int(options["control-fd"]))
    lifeline.die_with_parent()
    threads.forbid(os.environ)
    try:
        with lifeline.Watch(control.socket), _humble():
            shared = _warm(options)
    except ThreadStartedError as error:
        control.send(Threaded(str(error)))
        return 1
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return 1
    refusal = forking.why_not_fork([control.fileno()], Sites())
    if refusal is not None:
        control.send(Refused(refusal))
        return 1
    # Once here, so that what it does for the first time (OpenSSL's start) is not left to a clone.
    renewals = renew.find(None)
    renew.renew(renewals)
    forking.flush()
    gc.collect()
    lifecycle.settle()
    control.send(Warmed(os.getpid(), sorted(shared.read)))
    clone = Nursery(control).serve()
    if clone is None:
        os._exit(0)
    return become(clone, shared, renewals)


def become(clone: Clone, shared: Shared, renewals: Sequence[renew.Renewal]) -> int:
    """Live as an instance of the bento that was asked for; returns the exit status."""
    os.setsid()
    lifeline.die_with_parent()
    if os.getppid() not in (0, clone.template):  # 0 is one outside of its pid namespace
        return 1
    instance.redirect_output(clone.fds)
    seal = isolate(clone.namespaces, clone.request.env)
    listener = instance.open_listener(clone.fds["listen"])
    control = Channel(clone.fds["control"])

    def refuse(why: str) -> None:
        """Leave at once: nothing of the project's may go on with the wrong modules."""
        control.send(Refused(why))
        forking.flush()
        os._exit(1)

    def start() -> uvicorn.Config:
        request = clone.request
        root = request.env["BENTOFN_ROOT"]
        lifecycle.take_environment({**request.env, **shared.written}, request.threads, shared.pools)
        variables.renew_copies()
        source = str(BentoRoot(Path(root)).source)
        if (name := surroundings.shadowed(source)) is not None:
            refuse(
                f"its module {name} has the name of one that the packages import; rename it to "
                "start from the packages' zygote"
            )
        places = surroundings.enter(root, shared.places)
        renew.renew(renewals)
        seal()
        with variables.guard(shared.read, lambda variable: refuse(_set_late(variable))):
            return instance.start_service(places, control)

    return instance.live(start, listener, control)


def compiled_modules(environment: str) -> list[str]:
    """The modules of an environment whose bytecode it holds: those that a start executes.

    Args:
        environment: A directory of the import path.

    Returns:
        Their names, parents before children.
    """
    found = []
    suffix = f".{sys.implementation.cache_tag}.pyc"
    for folder, _, files in os.walk(environment):
        *parents, name = Path(folder).relative_to(environment).parts or ("",)
        if name != "__pycache__":
            continue
        stems = [file.removesuffix(suffix) for file in files if file.endswith(suffix)]
        modules = [[*parents, stem] if stem != "__init__" else parents for stem in stems]
        found += [".".join(parts) for parts in modules if all(map(str.isidentifier, parts))]
    return sorted(name for name in found if name and not name.endswith("__main__"))


def _warm(options: Mapping[str, str]) -> Shared:
    """Import what the environment's services import.

    Raises:
        ThreadStartedError: A package starts a thread when it is imported.
    """
    without = frozenset(filter(None, options.get("without", "").split(",")))
    # It sets a variable when it is imported, which a plain start does not import.
    threads.Pools.find()
    before = dict(os.environ)
    gc.disable()
    try:
        with variables.hear_reads() as read:
            describe.import_what_a_start_imports(onnx=False)
            _import_all(compiled_modules(options["env"]), without)
    finally:
        gc.enable()
    written = {name: value for name, value in os.environ.items() if before.get(name) != value}
    return Shared(
        {name: options[name] for name in ("runtime", "env")},
        frozenset(read),
        written,
        threads.Pools.find(),
    )


def _import_all(names: Collection[str], without: Collection[str]) -> None:
    running = _count_threads()
    for name in names:
        package = name.partition(".")[0]
        if name in sys.modules or package in without:
            continue
        # What fails here may be meant for another machine (one with a GPU).
        with contextlib.suppress(Exception, SystemExit):
            import_module(name)
        if _more_threads(running):
            raise ThreadStartedError(package)


def _more_threads(than: int, patience: float = 1.0) -> bool:
    """Whether more threads stay: the system forgets what has ended later than Python."""
    deadline = time.monotonic() + patience
    while (more := _count_threads() > than) and time.monotonic() < deadline:
        time.sleep(0.005)
    return more


def _count_threads() -> int:
    return len(list(_TASKS.iterdir())) if _TASKS.is_dir() else threading.active_count()


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
