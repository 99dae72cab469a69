"""A function as it stands in AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.aws_lambda.configuration import Configuration


@dataclass(frozen=True)
class LiveVersion:
    """A version of the function.

    Args:
        number: Its number; 0 for ``$LATEST``.
        code: Hex digest of its zip or image.
        configuration: How it runs.
        description: What it says of itself.
        architectures: The processors that it is for.
        state: ``Active``, ``Pending``, ``Inactive`` or ``Failed``.
        reason: Why it is in that state.
        modified: When it was made, as AWS writes it.
        kind: ``Zip`` or ``Image``.
    """

    number: int
    code: str
    configuration: Configuration = field(repr=False)
    description: str = ""
    architectures: tuple[str, ...] = ()
    state: str = "Active"
    reason: str = ""
    modified: str = ""
    kind: str = "Zip"

    @property
    def bento(self) -> tuple[str, str]:
        """Tag and digest of its bento, as it says."""
        tag, _, digest = self.description.partition(" ")
        return tag, digest


@dataclass(frozen=True)
class LiveRole:
    """A role.

    Args:
        trust: Who may take it on.
        policy: What it may do, of its own policy; None where it has none.
        managed: ARNs of the policies that it has besides.
        boundary: ARN of the policy that bounds it.
    """

    trust: Mapping[str, Any]
    policy: Mapping[str, Any] | None = None
    managed: tuple[str, ...] = ()
    boundary: str = ""


@dataclass(frozen=True)
class LogGroup:
    """A log group.

    Args:
        retention: Days for which logs are kept; None for ever.
    """

    retention: int | None


@dataclass(frozen=True)
class LiveQueue:
    """An event source mapping of a queue's.

    Args:
        mapping: Its UUID.
        settings: In the form of :func:`queues.mapping_of`.
    """

    mapping: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Live:
    """What there is of a function.

    Args:
        latest: ``$LATEST``; None where there is no function.
        versions: The published versions, the oldest first.
        tags: Of the function.
        alias: The version that the alias names; None where there is none.
        weights: Shares that the alias gives to other versions.
        url: The alias's URL in the form of :func:`urls.of_live`; None where there is none.
        address: Where it answers.
        permissions: Names of the statements of the alias's policy.
        event_rules: Of the alias's asynchronous invocations.
        reserved: Reserved concurrency.
        provisioned: Provisioned concurrency of the alias.
        role: The role that it runs as, if bentofn made one.
        schedule_role: The role of its schedules.
        log_group: Its log group.
        group: Whether there is a group of schedules.
        schedules: By name.
        queues: By ARN.
        others_queues: Those that somebody else's mapping has call the alias.
        layers: Name of a layer to the digests and ARNs of its versions.
        bucket: Whether there is a bucket.
        objects: Keys of the function's objects in it.
        fresh: Of these keys, of the layers' ARNs and of the images' digests those that came within
            the last hour: another deployment may be about to use them.
        images: Digests of the images in its repository; None where there is none.
    """

    latest: LiveVersion | None = None
    versions: tuple[LiveVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    alias: int | None = None
    weights: Mapping[int, float] = field(default_factory=dict)
    url: Mapping[str, Any] | None = None
    address: str = ""
    permissions: tuple[str, ...] = ()
    event_rules: Mapping[str, Any] | None = None
    reserved: int | None = None
    provisioned: int | None = None
    role: LiveRole | None = None
    schedule_role: LiveRole | None = None
    log_group: LogGroup | None = None
    group: bool = False
    schedules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queues: Mapping[str, LiveQueue] = field(default_factory=dict)
    others_queues: Mapping[str, LiveQueue] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bucket: bool = False
    objects: tuple[str, ...] = ()
    fresh: frozenset[str] = frozenset()
    images: tuple[str, ...] | None = None

    @property
    def now(self) -> LiveVersion | None:
        """The version that the alias names."""
        return next((each for each in self.versions if each.number == self.alias), None)
