"""What the Serverless Framework says that is its AWS provider's own.

Source: https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bentofn.adapters.queues import Queue, read_queues
from bentofn.adapters.yamltree import Node

Package = Literal["auto", "zip", "image"]

LOG_RETENTION = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
"""Days for which CloudWatch keeps logs.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
"""

# fmt: off
OTHER_KEYS = (
    "runtimeManagement", "vpc", "layers", "kmsKeyArn", "awsKmsKeyArn", "tracing", "onError",
    "fileSystemConfig", "condition", "dependsOn", "versionFunction", "disableLogs",
    "logDataProtectionPolicy", "logs", "build", "durableConfig", "tenancy", "capacityProvider",
    "recursiveLoop",
)
# fmt: on
"""Keys of a function's section that go to the adapter as they are written."""

_RUNTIME = re.compile(r"python3\.\d+\Z")


@dataclass(frozen=True)
class AwsSettings:
    """What AWS's adapters read, and no other's.

    Args:
        service: The file's ``service``; empty without a file.
        stage: The framework's stage.
        region: ``provider.region``, or None for that of the credentials' chain.
        name: The function's name there, where it is to have another.
        runtime: ``python3.12`` and the like, or None for the bento's Python.
        package: As a zip with layers, as an image, or what fits best.
        image: The image's address or name as written; the function is packaged as one then.
        artifact: A zip that somebody else made.
        role: ARN of the role that it runs as; None to have one made.
        statements: What the role may do beyond what the function needs, as IAM's statements.
        managed_policies: Policies that the role has too, as written: ARNs.
        permissions_boundary: ARN of the policy that bounds the role.
        provisioned_concurrency: Environments that are kept initialised.
        snap_start: Whether versions are started from a snapshot of AWS's.
        log_retention: Days that logs are kept.
        bucket: Where zips are put; None to have a bucket made.
        queues: The queues whose messages call it.
        others: What else the function's section says, by key.
    """

    service: str = ""
    stage: str = "dev"
    region: str | None = None
    name: str | None = None
    runtime: str | None = None
    package: Package = "auto"
    image: str | None = None
    artifact: str | None = None
    role: str | None = None
    statements: tuple[Mapping[str, Any], ...] = ()
    managed_policies: tuple[Any, ...] = ()
    permissions_boundary: str | None = None
    provisioned_concurrency: int | None = None
    snap_start: bool = False
    log_retention: int | None = None
    bucket: str | None = None
    queues: tuple[Queue, ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> AwsSettings:
        """Read the ``dataclasses.asdict`` form (tuples may have become lists)."""
        listed = {key: tuple(raw[key]) for key in ("statements", "managed_policies") if key in raw}
        queues = tuple(Queue.from_json(each) for each in raw.get("queues", ()))
        return cls(**{**raw, **listed, "queues": queues})


def read_aws(
    service: str, node: Node, provider: Node, custom: Node, stage: str | None = None
) -> AwsSettings:
    """Read it from a file.

    Args:
        service: The file's ``service``.
        node: The function's section.
        provider: The provider's section, or nothing.
        custom: The function's section of ours.
        stage: The stage, where the command line says one.

    Raises:
        UserError: A value is wrong.
    """
    role = provider["iam"]["role"] if provider["iam"].is_mapping else provider.absent()
    image, artifact = _image(node["image"]), _artifact(node["package"])
    snap_start = _snap_start(node["snapStart"])
    usual: Package = "image" if image else "zip" if artifact or snap_start else "auto"
    asked = custom["packaging"]
    return AwsSettings(
        service=service,
        stage=stage or provider["stage"].text(default="dev"),
        region=_text(provider["region"]),
        name=_text(node["name"]),
        runtime=_runtime(node["runtime"]) or _runtime(provider["runtime"]),
        package=usual if asked.value is None else asked.choice("auto", "zip", "image"),
        image=image,
        artifact=artifact,
        role=_arn(node["role"]) or _role(role) or _arn(provider["role"]),
        statements=_listed(role, "statements", provider["iamRoleStatements"]),
        managed_policies=_listed(role, "managedPolicies", provider["iamManagedPolicies"]),
        permissions_boundary=(_arn(role["permissionsBoundary"]) if role.is_mapping else None)
        or _arn(provider["rolePermissionsBoundary"]),
        provisioned_concurrency=node["provisionedConcurrency"].optional_integer(least=0) or None,
        snap_start=snap_start,
        log_retention=_retention(node["logRetentionInDays"])
        or _retention(provider["logRetentionInDays"]),
        bucket=_text(provider["deploymentBucket"])
        or (
            _text(provider["deploymentBucket"]["name"])
            if provider["deploymentBucket"].is_mapping
            else None
        ),
        queues=read_queues(node["events"]),
        others=_others(node, provider),
    )


def _others(node: Node, provider: Node) -> dict[str, Any]:
    """The rest of a function's section, over what the provider's says for all functions.

    Source: https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml; ``vpc:
    false`` takes one function out.
    """
    tracing, has_key = provider["tracing"], node["awsKmsKeyArn"].value is not None
    usual = {
        "vpc": provider["vpc"],
        "layers": provider["layers"],
        "kmsKeyArn": provider.absent() if has_key else provider["kmsKeyArn"],
        "tracing": tracing["lambda"] if tracing.is_mapping else provider.absent(),
    }
    shared = {key: usual[key].plain() for key in usual if key not in node.keys()}  # noqa: SIM118
    own = {key: node[key].plain() for key in OTHER_KEYS}
    if node["vpc"].is_mapping and provider["vpc"].is_mapping:
        own["vpc"] = {**provider["vpc"].plain(), **own["vpc"]}
    return {key: value for key, value in {**own, **shared}.items() if value is not None}


def _listed(role: Node, key: str, former: Node) -> tuple[Any, ...]:
    """Of ``provider.iam.role``, or by the key of the provider's own that stood there before."""
    own = role[key].plain() if role.is_mapping else None
    return tuple(own or former.plain() or ())


def _text(node: Node) -> str | None:
    """A text; None where there is none, or something of CloudFormation's."""
    return None if node.is_mapping or node.is_list else node.text(default="") or None


def _arn(node: Node) -> str | None:
    """A text; what only CloudFormation could tell is refused where leaving it out would matter."""
    if node.is_mapping or node.is_list:
        raise node.error("bentofn makes no CloudFormation stack that could tell it; write the ARN")
    return _text(node)


def _role(node: Node) -> str | None:
    """Of ``provider.iam.role``: an ARN, or None where it says what the role is to be."""
    if any(key == "Ref" or key.startswith(("Fn::", "GetAtt")) for key in _keys(node)):
        return _arn(node)
    return _text(node)


def _keys(node: Node) -> list[str]:
    return node.keys() if node.is_mapping else []


def is_python(runtime: str) -> bool:
    """Whether a function's ``runtime`` is a Python of AWS's."""
    return _RUNTIME.match(runtime) is not None


def _runtime(node: Node) -> str | None:
    """A Python; what functions that are images, or another target's, run on is none of ours."""
    text = _text(node)
    return text if text and is_python(text) else None


def _snap_start(node: Node) -> bool:
    if node.value == "PublishedVersions":
        return True
    return node.boolean(default=False)


def _image(node: Node) -> str | None:
    if not node.is_mapping:
        return _text(node)
    return _text(node["uri"]) or _text(node["name"])


def _artifact(node: Node) -> str | None:
    return _text(node["artifact"]) if node.is_mapping else None


def _retention(node: Node) -> int | None:
    days = node.optional_integer(least=1)
    if days is not None and days not in LOG_RETENTION:
        raise node.error(f"CloudWatch keeps logs for {', '.join(map(str, LOG_RETENTION))} days")
    return days
