"""A backend's rules as data: one TOML file each, with where every constant comes from."""

from __future__ import annotations

import importlib.resources
import sys
from dataclasses import dataclass

from bentofn.adapters.local.core.rules import PoolRules
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import ServiceContract

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Profile:
    """How a platform treats functions that do not say otherwise. Times are in seconds.

    Args:
        name: The profile's name.
        concurrency: Requests that an instance takes at a time.
        max_instances: Instances of a function at most.
        queue_limit: Requests that may wait for a function.
        queue_full_status: HTTP status of one that may not.
        idle_timeout: Time without requests after which an instance is stopped.
        start_timeout: Time that an instance may take to serve.
        start_attempts: Failed starts in a row after which waiting requests are refused.
        start_backoff: Wait after a failed start; doubled with each further one.
        start_hold: Wait before instances that no request waits for are tried again.
        stop_grace: Time that an instance has to finish what it does.
        payload_limit: Bytes that a request's body may hold.
        recovered_templates: Functions, the latest deployed first, whose template is prepared
            when the platform starts; the others' when they are first called.
    """

    name: str
    concurrency: int
    max_instances: int
    queue_limit: int
    queue_full_status: int
    idle_timeout: float
    start_timeout: float
    start_attempts: int
    start_backoff: float
    start_hold: float
    stop_grace: float
    payload_limit: int
    recovered_templates: int

    def pool_rules(self, settings: FunctionSettings, contract: ServiceContract) -> PoolRules:
        """The rules of one function.

        An instance takes as many requests as its largest batch holds, at least, or the batch
        could never form; a function that sets its own concurrency is taken at its word, and so is
        a service that asks for a queue in front of it.
        """
        batch = max((api.max_batch_size for api in contract.apis if api.batchable), default=1)
        traffic = contract.config.get("traffic", {})
        queued = traffic.get("concurrency") if traffic.get("external_queue") else None
        maximum = settings.max_instances
        if maximum is None:
            maximum = max(self.max_instances, settings.min_instances)
        if settings.reserved_concurrency is not None:
            # Lambda reserves environments; the nearest thing here is instances.
            maximum = min(maximum, settings.reserved_concurrency)
        idle = settings.idle_timeout
        return PoolRules(
            concurrency=settings.concurrency or queued or max(self.concurrency, batch),
            min_instances=settings.min_instances,
            max_instances=maximum,
            queue_limit=self.queue_limit,
            queue_full_status=self.queue_full_status,
            idle_timeout=self.idle_timeout if idle is None else idle,
            start_attempts=self.start_attempts,
            start_backoff=self.start_backoff,
            start_hold=self.start_hold,
        )


def load_profile(name: str) -> Profile:
    """Read a profile that ships with bentofn.

    Raises:
        UserError: There is none of this name.
    """
    folder = importlib.resources.files("bentofn.adapters.local") / "profiles"
    known = sorted(f.name.removesuffix(".toml") for f in folder.iterdir())
    if name not in known:
        raise UserError(f"There is no platform profile {name!r}; known: {', '.join(known)}.")
    return Profile(name, **tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")))
