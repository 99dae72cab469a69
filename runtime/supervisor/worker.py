"""The processes of one service: a parent that is warmed once, and its workers, forked from it."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bentofn.runtime import asgi, current, lifecycle, lifeline, original, rehearsal, threads
from bentofn.runtime.checkpoints.renewed import Renewed
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.obstacles import Sites
from bentofn.runtime.obstacles.forks import why_not_fork
from bentofn.runtime.proxy import addresses
from bentofn.runtime.proxy.peers import only_own_user
from bentofn.runtime.service import Service
from bentofn.runtime.supervisor.children import Child, Children, fork
from bentofn.runtime.supervisor.metrics import MergedMetrics
from bentofn.runtime.supervisor.plan import Process
from bentofn.runtime.supervisor.reports import ALONE, FAILED, READY, Report


@dataclass(frozen=True)
class Role:
    """What a process is to be.

    Args:
        process: The service and its workers.
        alone: Number of the one worker that it is; None for the parent of all.
        listen: Descriptor of the socket that the service's requests come by.
        own: Descriptors of the workers' own sockets, by which their metrics are asked for.
        everyone: The own sockets of all workers of all services, for :class:`MergedMetrics`.
        reports: Descriptor to say on that a worker serves.
        env: Variables that it has beside the user's.
    """

    process: Process
    alone: int | None
    listen: int
    own: tuple[int, ...]
    everyone: tuple[str, ...]
    reports: int
    env: Mapping[str, str]

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that it needs."""
        return (self.listen, *self.own, self.reports)

    @property
    def is_parent(self) -> bool:
        """Whether it forks the workers."""
        return self.process.workers > 1 and self.alone is None

    def to_text(self) -> str:
        """The value of :data:`bentofn.runtime.supervisor.plan.INHERITED`."""
        return json.dumps({**vars(self), "process": vars(self.process)})

    @classmethod
    def from_text(cls, text: str) -> Role:
        """What :meth:`to_text` wrote."""
        raw = json.loads(text)
        lists = {"own": tuple(raw["own"]), "everyone": tuple(raw["everyone"])}
        return cls(**{**raw, **lists, "process": Process(**raw["process"])})


def be(role: Role, service: Service[Any], env: Mapping[str, str]) -> int:
    """Be what a role says, until SIGTERM; returns the exit status.

    Args:
        role: The role.
        service: The service, imported.
        env: The variables that its workers are to have beside the role's and the service's.
    """
    os.environ.update(role.env)
    declared = {each.name: each.value for each in service.envs if each.stage != "build"}
    given = {name: value for name, value in declared.items() if value is not None}
    for name, value in given.items():
        os.environ.setdefault(name, value)
    try:
        if role.is_parent:
            _be_parent(role, service, {**given, **env, **role.env})
        else:
            _be_alone(role, service, role.alone or 1)
    except (Exception, SystemExit) as error:
        Report(FAILED, role.process.service, lifecycle.explain(error)).send(role.reports)
        return 1
    return 0


def _be_alone(role: Role, service: Service[Any], index: int) -> None:
    current.become_worker(index)
    _divide(service, role.process.workers)
    pools = threads.Pools.find()
    pools.resize(threads.wanted(os.environ, role.process.threads))
    prepared = lifecycle.prepare_service(service)
    config = _configure(role, prepared)
    lifecycle.settle()
    run_after_restore(prepared.instance)
    _serve(role, config, index)


def _be_parent(role: Role, service: Service[Any], env: Mapping[str, str]) -> None:
    threads.forbid(os.environ)
    threads.Pools.find().resize(1)
    current.become_worker()
    _divide(service, role.process.workers)
    prepared = lifecycle.prepare_service(service)
    config = _configure(role, prepared)
    rehearsal.rehearse(prepared.app, config)
    refusal = why_not_fork(role.fds, Sites())
    if refusal is not None:
        Report(ALONE, role.process.service, refusal).send(role.reports)
        threads.Pools.find().resize(threads.wanted(env, role.process.threads))
        lifecycle.settle()
        run_after_restore(prepared.instance)
        _serve(role, config, 1)
        return
    copied = original.make_copyable(prepared.instance)
    workers = Children()
    for index in range(1, role.process.workers + 1):
        start = partial(fork, partial(_be_worker, role, copied, config, env, index))
        workers.add(Child(f"worker {index} of {service.name}", start))
    workers.run()


def _be_worker(
    role: Role,
    copied: lifecycle.Renewable,
    config: ServerConfig,
    env: Mapping[str, str],
    index: int,
) -> int:
    try:
        current.become_worker(index)
        lifecycle.restore(copied, env, role.process.threads, lambda: None)
        _serve(role, config, index)
    except Exception as error:
        Report(FAILED, role.process.service, lifecycle.explain(error)).send(role.reports)
        return 1
    return 0


def _configure(role: Role, prepared: lifecycle.Prepared) -> ServerConfig:
    config = prepared.service.config
    tls = {} if addresses.ROLE in role.env else config.get("ssl", {})
    app = MergedMetrics(prepared.served, prepared.service, role.everyone)
    return asgi.configure(Renewed(app, prepared.instance), tls, websockets=prepared.app.has_mounts)


def _serve(role: Role, config: ServerConfig, index: int) -> None:
    lifeline.die_with_parent()
    listener = socket.socket(fileno=os.dup(role.listen))
    own = socket.socket(fileno=os.dup(role.own[index - 1]))
    ready = partial(Report(READY, role.process.service).send, role.reports)
    asgi.run(only_own_user(config), listener, ready, also=[own])


def _divide(service: Service[Any], workers: int) -> None:
    """Give each worker its part of what the service takes at a time; as in BentoML."""
    traffic = dict(service.config.get("traffic") or {})
    if "max_concurrency" in traffic:
        traffic["max_concurrency"] = math.ceil(traffic["max_concurrency"] / workers)
        service.config["traffic"] = traffic
