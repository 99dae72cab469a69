"""What a dependency is when it is called: a service in this process, in another, or at a URL."""

from __future__ import annotations

import asyncio
from typing import Any

from bentofn.runtime.proxy import addresses
from bentofn.runtime.proxy.base import Proxy
from bentofn.runtime.service import Service

_PROBE_TIMEOUT = 30.0
"""Seconds."""


def connect(on: Service[Any] | None, url: str | None) -> Proxy:
    """What stands for a service; no connection is made yet.

    Args:
        on: The service, if its class is at hand.
        url: Where it answers, if it is deployed by itself.
    """
    if url is not None:
        from bentofn.runtime.proxy.foreign import ForeignTransport

        return Proxy(on, ForeignTransport(url, on))
    assert on is not None
    if on.name in addresses.names():
        from bentofn.runtime.proxy.sibling import SiblingTransport

        return Proxy(on, SiblingTransport(on))
    from bentofn.runtime.proxy.local import LocalTransport

    if on.shared is None:
        on.shared = LocalTransport(on)
    return Proxy(on, on.shared)


async def all_ready(service: Service[Any]) -> bool:
    """Whether every service that one depends on directly is ready; ``runner_probe`` says if and
    how long it is asked."""
    probe = service.config.get("runner_probe", {})
    if not service.dependencies or not probe.get("enabled", True):
        return True
    proxies = [each.get() for each in service.dependencies.values()]
    timeout = probe.get("timeout", _PROBE_TIMEOUT)
    return all(await asyncio.gather(*(each.is_ready(timeout) for each in proxies)))


def disconnect(service: Service[Any]) -> None:
    """Close what the calls of a service and of its dependencies have opened; later calls open anew.

    Before the process is copied: no copy may share a connection, a thread or a loop with another.
    """
    from bentofn.runtime.dependency import all_services

    for each in all_services(service).values():
        for dependency in each.dependencies.values():
            dependency.get().transport.close()
