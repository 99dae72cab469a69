"""Which processes serve a service on this machine."""

from __future__ import annotations

import os
import sys
from typing import Any

from bentofn.runtime import gpus
from bentofn.runtime.proxy import addresses
from bentofn.runtime.service import Service
from bentofn.runtime.supervisor.plan import Process, plan


def processes_of(service: Service[Any]) -> tuple[Process, ...]:
    """The processes that serve a service and what it depends on, the entry's first.

    Services whose address the environment gives already run elsewhere.
    """
    elsewhere = set(addresses.names())
    services = service.all_services(exclude_urls=True)
    configs = {name: each.config for name, each in services.items() if name not in elsewhere}
    return plan(configs, _cpus(), gpus.find_gpus(), os.environ)


def _cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
