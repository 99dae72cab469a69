"""Which processes serve a bento on this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentofn.runtime.gpus import VISIBLE, Allocator, is_allocated, names_of

INHERITED = "BENTOFN_SUPERVISED"
"""Variable that tells a process what it is to be, when its program is started again for it."""

ALONE = "BENTOFN_ALONE"
"""Variable that, set to 1, has one process serve all services of a project or a bento."""

STARTED_IN = "BENTOFN_STARTED_IN"
"""Variable that holds the folder where a program was started which works in another since, so that
it can be started again with the same command."""


@dataclass(frozen=True)
class Process:
    """The processes of one service.

    Args:
        service: Its name.
        workers: How many there are.
        threads: Compute threads of each.
        env: Variables that they have beside the others'.
    """

    service: str
    workers: int = 1
    threads: int = 1
    env: Mapping[str, str] = field(default_factory=dict)


def plan(
    services: Mapping[str, Mapping[str, Any]],
    cpus: int,
    gpus: Sequence[str],
    environ: Mapping[str, str],
) -> tuple[Process, ...]:
    """The processes of each service.

    A service has the ``workers`` that it asks for, which share its CPUs (``resources.cpu``, else
    all there are) and all see the same GPUs, in which they find theirs by
    ``server_context.worker_index``. One with ``workers="cpu_count"`` gets no GPUs, as in BentoML.

    Args:
        services: Name to configuration, the entry first.
        cpus: CPUs of this machine.
        gpus: Its GPUs.
        environ: The user's variables, which may leave GPUs alone.

    Raises:
        BentoMLConfigException: A service asks for GPUs in a way that there is not.
    """
    named = {name for config in services.values() for name in names_of(_gpus(config))}
    allocator = Allocator(gpus, named) if is_allocated(environ) else None
    found = []
    for name, config in services.items():
        resources = config.get("resources") or {}
        workers = workers_of(config, cpus)
        cores = cores_of(resources.get("cpu"))
        threads = math.ceil(cores) if cores else max(1, cpus // workers)
        env = {}
        if allocator is not None and (wanted := _gpus(config)):
            env[VISIBLE] = ",".join(allocator.assign(wanted))
        found.append(Process(name, workers, max(1, min(threads, cpus)), env))
    return tuple(found)


def _gpus(config: Mapping[str, Any]) -> Any:
    """What a service gets of ``resources.gpu``."""
    has_none = config.get("workers") == "cpu_count"
    return None if has_none else (config.get("resources") or {}).get("gpu")


def workers_of(config: Mapping[str, Any], cpus: int) -> int:
    """How many workers a service has on a machine."""
    asked = config.get("workers") or 1
    return cpus if asked == "cpu_count" else int(asked)


def cores_of(quantity: Any) -> float | None:
    """Kubernetes's notation of ``resources.cpu``, as BentoML takes it: 2, "2" or "500m"."""
    text = str(quantity) if quantity is not None else ""
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return None
