"""A function to deploy and how it runs: what an adapter is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.batching import Batching
from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.adapters.url import Url

Snapshot = Literal["auto", "criu", "template", "none"]
OnCold = Literal["queue", "hold", "error"]
Architecture = Literal["x86_64", "arm64"]


@dataclass(frozen=True)
class FunctionSettings:
    """How a function runs; None leaves a choice to the target's own rules.

    Args:
        memory: MiB of its own that an instance may use.
        timeout: Seconds that one request may take once an instance has it.
        environment: Variables of the instances. Never printed.
        secrets: Variables whose values are elsewhere, by name.
        url: Its address, public without an authorizer; or None.
        reserved_concurrency: The Serverless Framework's ``reservedConcurrency``.
        event_rules: What holds for its asynchronous invocations.
        events: The events as written in ``serverless.yml``.
        schedules: The schedules among them, and those of bentofn's own section.
        idle_timeout: Seconds without a request after which an instance is stopped.
        min_instances: Instances kept running without requests.
        max_instances: Instances at most.
        buffer_instances: Instances kept idle beside those that have requests.
        concurrency: Requests that one instance takes at a time.
        batching: How requests are joined, over what the service declares.
        on_cold: What becomes of a request that finds no instance: it is accepted and answered
            later (``queue``), waits (``hold``), or is refused while one starts (``error``).
        snapshot: How an instance is started from a prepared one.
        gpu_snapshot: Whether a snapshot holds the GPU's memory too.
        cpu: Cores an instance may use.
        scratch: MiB of ``/tmp``.
        gpu: GPU name, with ``:count``, such as ``L4`` or ``H100:2``; target local takes a number
            too.
        gpu_fallbacks: Those that will do where that one cannot be had, the best first.
        architecture: The processor's.
        regions: Where it may run, the first one preferred.
        description: For people.
        tags: Labels of what is made for it.
        profile: Whose rules target local runs it by: a platform profile's name.
        aws: What is AWS's own.
        tuning: By profile, what the function sets of its constants, by the backend's names.
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
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    buffer_instances: int | None = None
    batching: Batching | None = None
    on_cold: OnCold | None = None
    gpu_snapshot: bool = False
    gpu_fallbacks: tuple[str, ...] = ()
    architecture: Architecture | None = None
    regions: tuple[str, ...] = ()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aws: AwsSettings = field(default_factory=AwsSettings)
    tuning: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
        """Plain data that :meth:`from_json` reads back; of secrets it holds no value."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FunctionSpec:
        """Read what :meth:`to_json` wrote, by an older version too (tuples may have become
        lists)."""
        settings = dict(raw["settings"])
        for listed in ("events", "gpu_fallbacks", "regions"):
            settings[listed] = tuple(settings.get(listed, ()))
        settings["schedules"] = tuple(Schedule(**each) for each in settings.get("schedules", ()))
        settings["aws"] = AwsSettings.from_json(settings.get("aws", {}))
        secrets: Mapping[str, Any] = settings.get("secrets", {})
        settings["secrets"] = {name: Secret(**secret) for name, secret in secrets.items()}
        for key, kind in (("event_rules", EventRules), ("batching", Batching)):
            if settings.get(key) is not None:
                settings[key] = kind(**settings[key])
        if settings["url"] is not None:
            settings["url"] = Url.from_json(settings["url"])
        return cls(raw["name"], raw["bento"], FunctionSettings(**settings))
