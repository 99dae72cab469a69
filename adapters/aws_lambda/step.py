"""One step of a deployment, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bentofn.adapters.plan import Change
from bentofn.packager.lambda_.parts import Part

Until = Literal["", "function", "version", "provisioned"]


PUSH = "push"
"""In a call's place: the image is sent to its repository."""


VERSION = "Version"
"""Under which name the number of the version that was published is remembered."""


@dataclass(frozen=True)
class Made:
    """Stands in arguments for something that an earlier step's answer says.

    Args:
        key: Under which it is remembered.
    """

    key: str


@dataclass(frozen=True)
class Step:
    """A call, or something to wait for.

    Args:
        service: boto3's name of the service.
        operation: The call, as AWS writes it; empty where there is only something to wait for.
        about: ARN of what it is about.
        arguments: The call's, with :class:`Made` in them.
        says: What it does, for people; empty where that is of no interest.
        changes: What of the function differs after it; none for what only prepares or clears up.
        keeps: What of the answer is remembered: the key, and the member.
        body: The file that is sent.
        expects: Members of a version's configuration that the answer must have, if nobody else
            changed the function meanwhile.
        until: What is waited for then.
    """

    service: str
    operation: str
    about: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    says: str = ""
    changes: tuple[Change, ...] = ()
    keeps: tuple[str, str] | None = None
    body: Part | None = None
    expects: Mapping[str, Any] = field(default_factory=dict, repr=False)
    until: Until = ""


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as IAM, ECR and EventBridge Scheduler take them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
