"""What an adapter is: the shapes that flow to and from a target, and its five verbs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.schedule import Schedule, ScheduleStatus
from bentofn.adapters.url import Url

Snapshot = Literal["auto", "criu", "template", "none"]
Progress = Callable[[str], None]
"""Called with one line about each step, for a terminal."""


@dataclass(frozen=True)
class FunctionSettings:
    """How a function runs; None leaves a choice to the target's own rules.

    Args:
        memory: MiB of its own that an instance may use.
        timeout: Seconds that one request may take once an instance has it.
        environment: Variables of the instances. Never printed.
        url: Its public address, or None.
        reserved_concurrency: The Serverless Framework's ``reservedConcurrency``.
        event_rules: What holds for its asynchronous invocations.
        events: The events as written in ``serverless.yml``.
        schedules: The schedules among them, and those of bentofn's own section.
        idle_timeout: Seconds without a request after which an instance is stopped.
        min_instances: Instances kept running without requests.
        max_instances: Instances at most.
        concurrency: Requests that one instance takes at a time.
        snapshot: How an instance is started from a prepared one.
        cpu: Cores an instance may use.
        scratch: MiB of ``/tmp``.
        gpu: GPU name, with ``:count``, such as ``L4`` or ``H100:2``.
        profile: Whose rules target local runs it by: a platform profile's name.
    """

    memory: int | None = None
    timeout: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: Url | None = field(default_factory=Url)
    reserved_concurrency: int | None = None
    event_rules: EventRules | None = None
    events: tuple[Any, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    idle_timeout: float | None = None
    min_instances: int = 0
    max_instances: int | None = None
    concurrency: int | None = None
    snapshot: Snapshot = "auto"
    cpu: float | None = None
    scratch: int | None = None
    gpu: str | None = None
    profile: str = "plain"


@dataclass(frozen=True)
class FunctionSpec:
    """A function to deploy: a bento and how it runs.

    Args:
        name: The function's name.
        bento: ``name:version`` in the store, or the absolute path of an unpacked bento.
        settings: How it runs.
    """

    name: str
    bento: str
    settings: FunctionSettings = field(default_factory=FunctionSettings)

    def to_json(self) -> dict[str, Any]:
        """Plain data that :meth:`from_json` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FunctionSpec:
        """Read what :meth:`to_json` wrote (tuples may have become lists)."""
        settings = dict(raw["settings"])
        settings["events"] = tuple(settings["events"])
        settings["schedules"] = tuple(Schedule(**each) for each in settings.get("schedules", ()))
        if settings.get("event_rules") is not None:
            settings["event_rules"] = EventRules(**settings["event_rules"])
        if settings["url"] is not None:
            settings["url"] = Url.from_json(settings["url"])
        return cls(raw["name"], raw["bento"], FunctionSettings(**settings))


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
        snapshot: The engine that new instances start with: ``criu``, ``template`` or ``none``.
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
    """

    id: str
    state: str
    start: str
    in_flight: int
    pid: int | None = None
    service: str = ""


@dataclass(frozen=True)
class FunctionStatus:
    """A function as it stands.

    Args:
        name: The function.
        url: Where it answers.
        version: Number of the live deployment.
        bento: ``name:version``.
        digest: Digest of the bento.
        deployed: When the live version was deployed, ISO 8601 in UTC.
        state: ``zero`` (no instance at all), ``starting``, ``running``, ``stopping``; ``broken``
            where its bento is not usable, ``stopped`` where the platform does not run.
        snapshot: ``criu``, ``template``, ``preparing`` or ``none``: how the next instance starts.
        note: Why the snapshot is not what the spec asks for, or the last failed start.
        apis: Name to route of its endpoints.
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
    instances: tuple[InstanceStatus, ...] = ()
    queued: int = 0
    requests: int = 0
    refused: int = 0
    starts: Mapping[str, int] = field(default_factory=dict)
    largest_batch: int = 0
    last_start_ms: float | None = None
    profile: str = "plain"
    cost: float = 0.0
    currency: str = "USD"
    schedules: tuple[ScheduleStatus, ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FunctionStatus:
        """Read the ``dataclasses.asdict`` form."""
        instances = tuple(InstanceStatus(**instance) for instance in raw["instances"])
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


class Adapter(Protocol):
    """Takes bentos to one target. Made with the home: ``LocalAdapter(home)``.

    Every method raises ``UserError`` with one sentence where the target refuses or cannot be
    reached, and a failed ``apply`` leaves the old version serving.
    """

    @property
    def name(self) -> str:
        """The target's name, as on the command line."""

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """Make the target agree with the spec; applying twice changes nothing.

        Args:
            spec: The function.
            progress: Told about each step.
            wait: Whether to return only when fast starts are prepared too.
        """

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        """One function's state, or all functions' by name."""

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        """Send a JSON body to an endpoint (needed only where there is more than one)."""

    def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        since: float = 0.0,
        tail: int | None = None,
        request: str = "",
    ) -> Iterator[LogLine]:
        """Lines in order of time.

        Args:
            name: The function.
            follow: Wait for more lines at the end.
            since: Only lines later than this, in seconds since the epoch.
            tail: Only this many of the lines that exist.
            request: Only those of the request with this id.
        """

    def destroy(self, name: str) -> None:
        """Remove the function and all that was made for it; the bento stays in the store."""
