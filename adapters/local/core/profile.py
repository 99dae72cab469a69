"""A backend's rules as data: what it does with functions that do not say otherwise."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.local.core.autoscaling.base import ScalingRule
from bentofn.adapters.local.core.autoscaling.rules import scaling_rule
from bentofn.adapters.local.core.billing import NoPrice, Pricing, Size, pricing
from bentofn.adapters.local.core.constants import Constant, Tables, read_tables
from bentofn.adapters.local.core.overflow import OverflowRules
from bentofn.adapters.local.core.rules import PoolRules
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.manifest import ServiceContract

MEMORY_REPORT = (
    "it needed more than its memory limit of {limit} MiB (memorySize); its peak was {peak} MiB"
)
"""What is told of an instance that needed too much, where the backend has no words of its own."""


@dataclass(frozen=True)
class InstanceTable:
    """What an instance is. None where the backend has no such rule.

    Args:
        concurrency: Requests that it takes at a time.
        concurrency_max: Requests that a function may have it take.
        memory: MiB that it has.
        memory_min: MiB at least.
        memory_max: MiB at most.
        memory_per_cpu: MiB for each CPU, where memory decides on it.
        cpu: CPUs that it has.
        cpu_max: CPUs at most.
        soft: Whether memory and CPU are what it is promised, of which it may use more.
        boost: Whether it has more CPU than that until it serves.
        scratch: MiB of ``/tmp``.
        gpu: The GPU that it has, ``any`` that is asked for, or ``none`` at all.
        batching: Whether requests can be joined in it.
        streaming: Whether an answer can be sent as it comes.
        services: Whether one bento can be several services.
    """

    concurrency: int
    concurrency_max: int | None = None
    memory: int | None = None
    memory_min: int | None = None
    memory_max: int | None = None
    memory_per_cpu: int | None = None
    cpu: float | None = None
    cpu_max: float | None = None
    soft: bool = False
    boost: bool = False
    scratch: int | None = None
    gpu: str = "any"
    batching: bool = True
    streaming: bool = True
    services: bool = True


@dataclass(frozen=True)
class ScalingTable:
    """How many instances there are.

    Args:
        rule: The rule and its constants.
        max_instances: Instances of a function at most.
        idle_timeout: Seconds without a request after which an instance is stopped, where the rule
            leaves that open.
        idle_settable: Whether a function may say otherwise.
        idle_min: Seconds at least.
        idle_max: Seconds at most.
        account: Requests at a time of all functions together, where they share a limit, in which
            a function's reserved concurrency is its own part.
    """

    rule: ScalingRule
    max_instances: int
    idle_timeout: float
    idle_settable: bool = True
    idle_min: float | None = None
    idle_max: float | None = None
    account: int | None = None


@dataclass(frozen=True)
class TimeoutTable:
    """Times in seconds.

    Args:
        start: What an instance may take to serve.
        stop_grace: What it has to finish what it does.
        start_attempts: Failed starts in a row after which waiting requests are refused.
        start_backoff: Wait after a failed start; doubled with each further one.
        start_hold: Wait before instances that no request waits for are tried again.
        request: What a request may take where the function does not say.
        request_max: What a function may say.
    """

    start: float
    stop_grace: float
    start_attempts: int
    start_backoff: float
    start_hold: float
    request: float | None = None
    request_max: float | None = None


@dataclass(frozen=True)
class LimitTable:
    """Sizes in bytes. None where there is no limit.

    Args:
        payload: A request's body.
        response: An answer's body.
        asynchronous: The body of a request that is not waited for.
        streamed: An answer's body that is sent as it comes.
        memory_status: HTTP status of a request whose instance needed more memory than it may.
        memory_report: What is told then, with ``{limit}`` and ``{peak}`` for the MiB.
    """

    payload: int
    response: int | None = None
    asynchronous: int | None = None
    streamed: int | None = None
    memory_status: int = 502
    memory_report: str = MEMORY_REPORT


@dataclass(frozen=True)
class PriceTable:
    """What it costs.

    Args:
        rule: The way to charge and its constants.
        currency: ISO 4217.
    """

    rule: Pricing = field(default_factory=NoPrice)
    currency: str = "USD"


@dataclass(frozen=True)
class Profile:
    """A backend's rules.

    Args:
        name: The profile's name.
        constants: Every constant of it with its source, by table and name.
    """

    name: str
    instance: InstanceTable
    scaling: ScalingTable
    overflow: OverflowRules
    timeouts: TimeoutTable
    limits: LimitTable
    price: PriceTable
    constants: Tables = field(repr=False, compare=False, default_factory=dict)

    def pool_rules(
        self,
        settings: FunctionSettings,
        contract: ServiceContract,
        machine_limit: int | None = None,
    ) -> PoolRules:
        """The rules of one function.

        An instance takes as many requests as its largest batch holds, at least, or the batch
        could never form; a function that sets its own concurrency is taken at its word, and so is
        a service that asks for a queue in front of it.

        Args:
            settings: The function's.
            contract: Its service's.
            machine_limit: Instances of a function that one machine is asked for, where the
                function does not say how many it wants; None for no limit.
        """
        asked = settings.concurrency or _queued(contract)
        return PoolRules(
            concurrency=self._concurrency(asked, _largest_batch(settings, contract)),
            min_instances=settings.min_instances,
            max_instances=self._max_instances(settings, machine_limit),
            overflow=self.overflow,
            idle_timeout=self._idle_timeout(settings),
            start_attempts=self.timeouts.start_attempts,
            start_backoff=self.timeouts.start_backoff,
            start_hold=self.timeouts.start_hold,
            scaling=self.scaling.rule,
            asked=asked,
        )

    def size(self, settings: FunctionSettings) -> Size:
        """What an instance of a function is paid for."""
        memory = settings.memory or self.instance.memory or 0
        if self.instance.memory_per_cpu:
            return Size(memory, memory / self.instance.memory_per_cpu)
        return Size(memory, settings.cpu or self.instance.cpu or 0.0)

    def allowance(self, settings: FunctionSettings) -> Size:
        """What an instance of a function may use; 0 is no limit."""
        if self.instance.soft:
            return Size(settings.memory or 0, settings.cpu or 0.0)
        return self.size(settings)

    @property
    def goes_by_metric(self) -> bool:
        """Whether the rule of scaling stops instances, not that they are idle."""
        return self.scaling.idle_timeout == math.inf

    def _idle_timeout(self, settings: FunctionSettings) -> float:
        if settings.idle_timeout is None or self.goes_by_metric:
            return self.scaling.idle_timeout
        return settings.idle_timeout

    def _concurrency(self, asked: int | None, batch: int) -> int:
        if not self.instance.batching:
            return self.instance.concurrency
        wanted = asked or max(self.instance.concurrency, batch)
        return min(wanted, self.instance.concurrency_max or wanted)

    def _max_instances(self, settings: FunctionSettings, machine_limit: int | None) -> int:
        maximum = self.scaling.max_instances
        if settings.max_instances is not None:
            maximum = settings.max_instances
        elif machine_limit is not None:
            maximum = min(maximum, machine_limit)
        maximum = max(maximum, settings.min_instances)
        if settings.reserved_concurrency is not None and self.scaling.account is None:
            # Where there is no account to take it out of, instances are the nearest thing.
            maximum = min(maximum, settings.reserved_concurrency)
        return maximum


@functools.cache
def load_profile(name: str) -> Profile:
    """Read a profile that ships with bentofn.

    Raises:
        UserError: There is none of this name.
    """
    return build_profile(name, read_tables(name))


def build_profile(name: str, tables: Tables) -> Profile:
    """A profile of its constants."""
    values = {table: _values(constants) for table, constants in tables.items()}
    scaling, price = values["scaling"], values["price"]
    own = {key: scaling.pop(key) for key in tuple(scaling) if key in _SCALING}
    rule = scaling_rule(scaling.pop("rule"), scaling)
    currency = price.pop("currency", "USD")
    return Profile(
        name,
        InstanceTable(**values["instance"]),
        ScalingTable(rule, **own),
        OverflowRules(**values["overflow"]),
        TimeoutTable(**values["timeouts"]),
        LimitTable(**values["limits"]),
        PriceTable(pricing(price.pop("rule"), price), currency),
        tables,
    )


_SCALING = {"max_instances", "idle_timeout", "idle_settable", "idle_min", "idle_max", "account"}
"""What of the table is no constant of the rule's."""


def _values(constants: Mapping[str, Constant]) -> dict[str, Any]:
    return {name: constant.value for name, constant in constants.items()}


def _largest_batch(settings: FunctionSettings, contract: ServiceContract) -> int:
    """Items of the largest batch that can form."""
    declared = max((api.max_batch_size for api in contract.apis if api.batchable), default=1)
    said = settings.batching
    if said is None or declared == 1:
        return declared
    return (said.max_batch_size or declared) if said.enabled else 1


def _queued(contract: ServiceContract) -> int | None:
    traffic = contract.config.get("traffic", {})
    queued: int | None = traffic.get("concurrency") if traffic.get("external_queue") else None
    return queued
