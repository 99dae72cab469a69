"""What a target says of its functions: what an apply left, how they stand, what they wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.schedule import ScheduleStatus


@dataclass(frozen=True)
class Deployed:
    """What an apply left live.

    Args:
        name: The function.
        url: Where it answers.
        version: Number of the deployment, from 1.
        bento: ``name:version``.
        digest: Digest of the bento.
        changed: False where it already was as the spec says.
        snapshot: The engine that new instances start with: ``criu``, ``template``, the target's own
            (``modal``) or ``none``.
        note: Why it is not the engine that the spec asks for, or what else of the spec the target
            does not do; empty otherwise.
    """

    name: str
    url: str
    version: int
    bento: str
    digest: str
    changed: bool
    snapshot: str
    note: str = ""


@dataclass(frozen=True)
class Version:
    """A version of a function that the target still has.

    Args:
        number: From 1; a later version has a larger one.
        bento: ``name:version``.
        digest: Digest of the bento.
        created: When it was deployed, ISO 8601 in UTC.
        weight: Share of the requests that it gets, 0 to 1.
        note: What else is to be known of it, such as that its snapshot is not ready.
    """

    number: int
    bento: str
    digest: str
    created: str
    weight: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class InstanceStatus:
    """One instance.

    Args:
        id: Its name.
        state: ``starting``, ``ready``, ``retiring`` (takes no more requests), ``parking`` (what it
            has become is being kept) or ``stopping``.
        start: ``cold``, ``zygote`` (a copy of a process that has its packages imported) or
            ``restored``.
        in_flight: Requests that it has.
        pid: Its process, once known.
        service: Which of the bento's services it runs; empty for the entry.
        version: Which deployment it runs.
    """

    id: str
    state: str
    start: str
    in_flight: int
    pid: int | None = None
    service: str = ""
    version: int = 0


@dataclass(frozen=True)
class FunctionStatus:
    """A function as it stands; None is what the target does not tell.

    Args:
        name: The function.
        url: Where it answers.
        version: Number of the live deployment.
        bento: ``name:version``.
        digest: Digest of the bento.
        deployed: When the live version was deployed, ISO 8601 in UTC.
        state: ``zero`` (no instance at all), ``starting``, ``running``, ``stopping``; ``broken``
            where its bento is not usable, ``stopped`` where the platform does not run.
        snapshot: ``checkpointed``, ``criu``, ``template``, ``preparing`` or ``none``: how the next
            instance starts.
        note: Why the snapshot is not what the spec asks for, or the last failed start.
        apis: Name to path of its endpoints, the service's prefix in it.
        instances: What runs now.
        queued: Requests that wait for an instance.
        requests: Requests answered since the platform started.
        refused: Requests refused by the platform since it started.
        starts: Number of starts by kind (``cold``, ``zygote``, ``restored``) since the platform
            started.
        largest_batch: Most items that one batch held since the platform started.
        last_start_ms: Milliseconds that the latest start took, or None.
        profile: Whose rules target local runs it by.
        cost: What that backend would have charged since the platform started.
        currency: Of the cost, ISO 4217.
        schedules: When it is called by the clock.
    """

    name: str
    url: str
    version: int
    bento: str
    digest: str
    deployed: str
    state: str
    snapshot: str
    note: str = ""
    apis: Mapping[str, str] = field(default_factory=dict)
    instances: tuple[InstanceStatus, ...] | None = ()
    queued: int | None = 0
    requests: int | None = 0
    refused: int | None = 0
    starts: Mapping[str, int] = field(default_factory=dict)
    largest_batch: int = 0
    last_start_ms: float | None = None
    profile: str = "plain"
    cost: float | None = 0.0
    currency: str = "USD"
    schedules: tuple[ScheduleStatus, ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FunctionStatus:
        """Read the ``dataclasses.asdict`` form."""
        listed = raw["instances"]
        instances = None if listed is None else tuple(InstanceStatus(**each) for each in listed)
        schedules = tuple(ScheduleStatus(**schedule) for schedule in raw.get("schedules", ()))
        return cls(**{**raw, "instances": instances, "schedules": schedules})


@dataclass(frozen=True)
class LogLine:
    """One line that an instance or the platform wrote.

    Args:
        ts: Seconds since the epoch.
        instance: Which instance, or ``platform``.
        stream: ``stdout``, ``stderr`` or ``platform``.
        line: The text, without its line end.
        request: Id of the request that wrote it; empty where that is not known.
    """

    ts: float
    instance: str
    stream: str
    line: str
    request: str = ""


@dataclass(frozen=True)
class Reply:
    """A function's answer.

    Args:
        status: HTTP status.
        headers: Lower-case name to value.
        body: The chunks of the body, as they come.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]
