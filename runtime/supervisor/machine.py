"""Which processes serve a service on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from bentofn.runtime import gpus
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.proxy import addresses
from bentofn.runtime.proxy.base import CLIENT_URL
from bentofn.runtime.service import Service
from bentofn.runtime.supervisor.plan import ALONE, Process, plan, workers_of


def processes_of(service: Service[Any]) -> tuple[Process, ...]:
    """The processes that serve a service and what it depends on, the entry's first.

    Services whose address the environment gives already run elsewhere. Where :data:`ALONE` is set,
    one process serves all others.
    """
    elsewhere = set(addresses.names())
    services = service.all_services(exclude_urls=True)
    configs = {name: each.config for name, each in services.items() if name not in elsewhere}
    processes = plan(configs, _cpus(), gpus.find_gpus(), os.environ)
    return (replace(processes[0], workers=1),) if os.environ.get(ALONE) == "1" else processes


def hosts_of(service: Service[Any]) -> list[str]:
    """The address of each worker of a service that has processes of its own, as BentoML writes it.

    Raises:
        BentoMLException: It has none.
    """
    if service.name not in addresses.names():
        raise BentoMLException(f"Service {service.name} not found")
    return [urlsplit(CLIENT_URL).netloc] * workers_of(service.config, _cpus())


def _cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
