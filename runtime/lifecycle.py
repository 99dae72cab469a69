"""A service's start, in the order that every way of starting keeps.

Import, construct, warm up, before-snapshot hooks: :func:`prepare`, up to the snapshot point. Then
the copy's own randomness, environment, threads, and after-restore hooks: :func:`restore`. A plain
start runs the one after the other; a template or a snapshot is a process that has run the first,
and every copy of it runs the second.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentofn.runtime import current, heap, renew, request_logs, threads
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import run_after_restore, run_before_snapshot
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.exchange import ASGIApp
from bentofn.runtime.http.warmup import warm_up
from bentofn.runtime.idle_connections import close_idle_connections
from bentofn.runtime.kept import start as kept
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.loading import load_service
from bentofn.runtime.log_files import close_log_files
from bentofn.runtime.logs import show_services_logs
from bentofn.runtime.manifest import BentoManifest
from bentofn.runtime.progress_bars import end_monitors
from bentofn.runtime.proxy import addresses, disconnect
from bentofn.runtime.service import Service
from bentofn.runtime.stages import stage

_OLD_THRESHOLD, _THRESHOLD = 700, 2000
"""New objects after which the collector looks for garbage, before CPython 3.13 and since."""


@dataclass(frozen=True)
class Prepared:
    """A service at its snapshot point: it has answered its examples and bound nothing.

    Args:
        service: The declaration.
        instance: The service's instance.
        app: Its ASGI application.
    """

    service: Service[Any]
    instance: object
    app: ServiceApp

    @property
    def served(self) -> ASGIApp:
        """The application with what its service tells of requests."""
        config = self.service.config
        if "logging" not in config and "response" not in config.get("http", {}):
            return self.app
        from bentofn.runtime.http.observed import observed  # few services ask for it

        return observed(self.app, config)


@dataclass(frozen=True)
class Renewable:
    """What differs between the copies of a prepared service; finding it takes milliseconds.

    Args:
        instance: The service's instance.
        renewals: What each copy renews.
        pools: The compute thread pools of what is loaded.
    """

    instance: object
    renewals: Sequence[renew.Renewal]
    pools: threads.Pools

    @classmethod
    def find(cls, instance: object) -> Renewable:
        """Look through the process, before it is copied."""
        return cls(instance, renew.find(instance), threads.Pools.find())


def target_of(root: BentoRoot) -> str:
    """The import string of a bento's service: the entry, or the one that this process is for.

    Raises:
        UserError: There is no bento, or it was built for another version of Python.
    """
    try:
        manifest = BentoManifest.read(root.manifest)
    except FileNotFoundError:
        raise UserError(f"{root.path} is not a bento: it has no bento.json.") from None
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if manifest.python != running:
        raise UserError(
            f"{manifest.tag} was built for Python {manifest.python} and this is Python {running}; "
            "start it with that version or build it again."
        )
    role = os.environ.get(addresses.ROLE)
    for each in manifest.contract.services:
        if each.name == role:
            return each.import_string
    return manifest.contract.import_string


def load(options: Mapping[str, str]) -> Service[Any]:
    """Import the service that a boot process is for, and nothing more.

    Raises:
        UserError: The service cannot be imported.
    """
    with stage("manifest"):
        target = options.get("service") or target_of(BentoRoot(Path(options["root"])))
    return import_service(target, Path(options["source"]))


def import_service(target: str, directory: Path) -> Service[Any]:
    """The same as :func:`load_service`, in less time where it imports much."""
    # Imports make many objects and little garbage: the collector would walk them for nothing, about
    # a tenth of torch's time. What is imported stays, and nothing later has to walk it either.
    gc.disable()
    kept.begin()
    try:
        with stage("import", target=target):
            return load_service(target, directory)
    finally:
        gc.enable()
        gc.freeze()


def prepare(options: Mapping[str, str], *, warm: bool = True) -> Prepared:
    """Bring the service of a boot process to its snapshot point.

    Args:
        options: Those of the process.
        warm: Whether it answers its examples.

    Raises:
        UserError: The service cannot be imported, an annotation cannot be served or an example is
            not answered.
        Exception: Whatever the service's own constructor raises.
    """
    current.become_worker()
    request_logs.install()  # before the service's own log handlers take hold of the outputs
    return prepare_service(load(options), warm=warm)


def prepare_service(service: Service[Any], *, warm: bool = True) -> Prepared:
    """Bring a service that is imported to its snapshot point; raises as :func:`prepare` does."""
    show_services_logs()
    routes = [each.route for each in service.apis.values()]
    is_entry = addresses.ROLE not in os.environ
    current.serve_as(service.name, routes, _bento(), is_entry=is_entry)
    if not is_entry:
        importlib.import_module("bentofn.runtime.proxy.answering")  # not at the first call
    with stage("construct"):
        instance = service()
    current.set_current_service(instance)
    with stage("app"):
        app = ServiceApp(service, instance, serves=True)
    for dependency in service.dependencies.values():
        dependency.get()
    if warm:
        with stage("warm-up"):
            warm_up(app)
    kept.answered()
    with stage("before_snapshot"):
        end_before_copy(instance)
    return Prepared(service, instance, app)


def end_before_copy(instance: object) -> None:
    """Have a service end what no copy may share: by its hooks, of its calls to others, and idle.

    Raises:
        UserError: A hook raised.
    """
    run_before_snapshot(instance)
    service: Service[Any] | None = getattr(instance, "bento_service", None)
    if service is not None and service.dependencies:
        disconnect(service)
    close_idle_connections()
    close_log_files()
    end_monitors()


def _bento() -> tuple[str, str] | None:
    """Name and version of the running bento; None in a project."""
    root = BentoRoot.current()
    if root is None:
        return None
    manifest = BentoManifest.read(root.manifest)
    return manifest.name, manifest.version


def settle() -> None:
    """Keep the collector from walking what a started service will always hold; settle the heap.

    Walking it makes the slowest requests of a service with many objects (its second generation took
    70 of 129 ms at the 99th percentile in BentoML), and in a clone it would copy every page. What
    dozens of requests in flight hold is more than the 700 objects after which the collector looks
    for garbage by default before CPython 3.13; there it is 2,000.
    """
    gc.freeze()
    if gc.get_threshold()[0] == _OLD_THRESHOLD:
        gc.set_threshold(_THRESHOLD)
    heap.settle()


def take_environment(env: Mapping[str, str], count: int, pools: threads.Pools) -> None:
    """Give a copy of a process its own environment and number of compute threads.

    Args:
        env: Its whole environment.
        count: Its number of compute threads, unless the environment says.
        pools: The thread pools of what is loaded.
    """
    renew.renew_environment(env)
    kept.copied()
    threads.allow(os.environ, count)
    number = threads.wanted(env, count)
    pools.resize(number)
    kept.resized(number)


def restore(
    copied: Renewable, env: Mapping[str, str], count: int, seal: Callable[[], None]
) -> None:
    """Turn a copy of a prepared process into an instance of its own.

    Args:
        copied: What the copy must not share.
        env: The instance's whole environment.
        count: Its number of compute threads, unless the environment says.
        seal: Called before code of the service's, once no privileges are needed any more.
    """
    with stage("environment"):
        take_environment(env, count, copied.pools)
    # Before torch's generators on a GPU, which wait until the driver has put its memory back: the
    # weights' file is read meanwhile.
    dropped = sys.modules.get("bentofn.runtime.weights.dropped")
    if dropped is not None:
        dropped.reload()
    with stage("renew"):
        renew.renew(copied.renewals)
    with stage("seal"):
        seal()
    with stage("after_restore"):
        run_after_restore(copied.instance)


def explain(error: BaseException) -> str:
    """One sentence for what kept a service from starting.

    A :class:`UserError` is its own sentence; of anything else the sentence says the type, the
    message and the last line of the project's that it came through (else the line that raised it),
    and the traceback is printed for the log.
    """
    if isinstance(error, UserError):
        return str(error)
    traceback.print_exception(type(error), error, error.__traceback__)
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if _is_of_project(each.filename)]
    where = [f" ({Path(each.filename).name}:{each.lineno})" for each in (own or frames)[-1:]]
    return f"{type(error).__name__}: {error}{''.join(where)}"


def _is_of_project(file: str) -> bool:
    """Whether a file is of the project, which :func:`load_service` has put first."""
    return Path(file).is_relative_to(sys.path[0]) and "site-packages" not in file
