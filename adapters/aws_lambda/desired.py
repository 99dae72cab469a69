"""A function as it is to be in AWS: its spec and its package, as AWS's own words have them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.aws_lambda.configuration import LOG_LEVEL, NOT_SNAPPED, SNAPPED, Configuration
from bentofn.adapters.aws_lambda.names import BUCKET_TAG, FUNCTION_TAG, Names
from bentofn.adapters.aws_lambda.queues import mapping_of
from bentofn.adapters.aws_lambda.role import Role, function_role, schedule_role
from bentofn.adapters.aws_lambda.schedules import schedule_of
from bentofn.adapters.aws_lambda.snapstart import starts_snapped
from bentofn.adapters.aws_lambda.urls import url_of
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.lambda_.parts import LambdaPackage
from bentofn.runtime.aws_lambda.fetched import SOURCE as FETCHED

MEMORY = 1024
"""MiB, the Serverless Framework's default."""

SCRATCH = 512
"""MiB of /tmp, Lambda's default."""


@dataclass(frozen=True)
class Desired:
    """A function as it is to be.

    Args:
        names: What its parts are called.
        bento: ``name:version``.
        digest: Digest of the bento.
        package: Its code.
        configuration: How it runs, without layers.
        added_layers: ARNs of the user's own layers.
        description: For people.
        tags: Of all that is made.
        role: The role that it runs as; None where the user gave one.
        retention: Days for which its logs are kept; None for ever.
        url: Its public address, or None.
        event_rules: What holds for asynchronous invocations, or None.
        reserved: Its reserved concurrency, or None.
        provisioned: Its provisioned concurrency, or None.
        schedules: Its schedules by name, as CreateSchedule takes them.
        queues: Its queues by ARN, as UpdateEventSourceMapping takes them.
    """

    names: Names
    bento: str
    digest: str
    package: LambdaPackage = field(repr=False)
    configuration: Configuration = field(repr=False)
    added_layers: tuple[str, ...] = ()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    role: Role | None = None
    retention: int | None = None
    url: Mapping[str, Any] | None = None
    event_rules: Mapping[str, Any] | None = None
    reserved: int | None = None
    provisioned: int | None = None
    schedules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def code_digest(self) -> str:
        """Hex digest of the function's own zip, or of its image."""
        image = self.package.image
        digest = image.digest if image is not None else self.package.function.digest
        return digest.removeprefix("sha256:")

    @property
    def fetched_from(self) -> str:
        """Prefix of the objects that the function fetches; empty where it fetches none."""
        return _fetched_from(self.names, self.package)

    @property
    def version_description(self) -> str:
        """What a published version says of itself: its bento, by name and digest."""
        return f"{self.bento} {self.digest}"[:256]

    @property
    def schedule_role(self) -> Role | None:
        """The role of its schedules; None where it has none."""
        return schedule_role(self.names) if self.schedules else None


def desire(
    spec: FunctionSpec,
    names: Names,
    bento: tuple[str, str],
    package: LambdaPackage,
    secrets: Mapping[str, str],
) -> Desired:
    """Put a function in AWS's words.

    Args:
        spec: The function.
        names: What its parts are called.
        bento: Its bento: tag and digest.
        package: Its code.
        secrets: The values of its secrets, by variable.
    """
    settings = spec.settings
    rules = settings.event_rules
    event_rules = _event_rules(spec, names)
    sends_to = [
        each["Destination"] for each in (event_rules or {}).get("DestinationConfig", {}).values()
    ]
    bucket = {BUCKET_TAG: names.given_bucket} if names.given_bucket else {}
    letters = (rules.dead_letters if rules is not None else None) or ""
    role = None
    if settings.aws.role is None:
        every = [*sends_to, *filter(None, [letters])]
        role = function_role(names, settings, every, fetches=bool(package.fetched))
    return Desired(
        names=names,
        bento=bento[0],
        digest=bento[1],
        package=package,
        configuration=_configuration(spec, names, package, secrets, role, letters),
        added_layers=tuple(str(each) for each in settings.aws.others.get("layers") or ()),
        description=settings.description,
        tags={**settings.tags, FUNCTION_TAG: spec.name, **bucket},
        role=role,
        retention=settings.aws.log_retention,
        url=None if settings.url is None else url_of(settings.url),
        event_rules=event_rules,
        reserved=_least(settings.reserved_concurrency, settings.max_instances),
        provisioned=provisioned(settings),
        schedules={each.name: schedule_of(each, names) for each in settings.schedules},
        queues={each.arn: mapping_of(each) for each in settings.aws.queues},
    )


def provisioned(settings: FunctionSettings) -> int | None:
    """How many environments are kept initialised."""
    return settings.aws.provisioned_concurrency or settings.min_instances or None


def _configuration(
    spec: FunctionSpec,
    names: Names,
    package: LambdaPackage,
    secrets: Mapping[str, str],
    role: Role | None,
    letters: str,
) -> Configuration:
    settings, others = spec.settings, spec.settings.aws.others
    variables = {
        **package.environment,
        **settings.environment,
        **secrets,
        "BENTOFN_FUNCTION": spec.name,
    }
    if package.fetched:
        variables[FETCHED] = f"s3://{names.bucket}/{_fetched_from(names, package)}"
    vpc = others.get("vpc") or {}
    files = others.get("fileSystemConfig")
    tracing = others.get("tracing")
    is_snapped = starts_snapped(settings, package, names.region)
    found: dict[str, Any] = {
        "Role": settings.aws.role or names.role_arn(role.name if role is not None else ""),
        "MemorySize": settings.memory or MEMORY,
        "Timeout": math.ceil(settings.timeout),
        "EphemeralStorage": {"Size": settings.scratch or SCRATCH},
        "Environment": {"Variables": variables},
        "TracingConfig": {"Mode": tracing if isinstance(tracing, str) else _mode(tracing)},
        "VpcConfig": {
            "SubnetIds": sorted(vpc.get("subnetIds") or ()),
            "SecurityGroupIds": sorted(vpc.get("securityGroupIds") or ()),
        },
        "DeadLetterConfig": {"TargetArn": letters},
        "KMSKeyArn": str(others.get("kmsKeyArn") or others.get("awsKmsKeyArn") or ""),
        "FileSystemConfigs": [
            {"Arn": files["arn"], "LocalMountPath": files["localMountPath"]}
        ] if files else [],
        "SnapStart": {"ApplyOn": SNAPPED if is_snapped else NOT_SNAPPED},
        "LoggingConfig": _logging(others.get("logs") or {}, names),
    }  # fmt: skip
    if package.kind == "Zip":
        found |= {"Runtime": package.runtime, "Handler": package.handler}
    return found


def _mode(tracing: object) -> str:
    return "Active" if tracing else "PassThrough"


def _logging(logs: Mapping[str, Any], names: Names) -> dict[str, Any]:
    found = {
        "LogFormat": str(logs.get("logFormat") or "Text").capitalize().replace("Json", "JSON"),
        "LogGroup": names.log_group,
    }
    if found["LogFormat"] == "JSON":  # as text there are no levels
        found["ApplicationLogLevel"] = str(logs.get("applicationLogLevel") or LOG_LEVEL)
        found["SystemLogLevel"] = str(logs.get("systemLogLevel") or LOG_LEVEL)
    return found


def _event_rules(spec: FunctionSpec, names: Names) -> dict[str, Any] | None:
    """What PutFunctionEventInvokeConfig takes."""
    rules = spec.settings.event_rules
    if rules is None:
        return None
    found: dict[str, Any] = {}
    if rules.retries is not None:
        found["MaximumRetryAttempts"] = rules.retries
    if rules.age is not None:
        found["MaximumEventAgeInSeconds"] = rules.age
    where = {"OnSuccess": rules.on_success, "OnFailure": rules.on_failure}
    destinations = {
        key: {"Destination": _destination(value, spec, names)}
        for key, value in where.items()
        if value
    }
    if destinations:
        found["DestinationConfig"] = destinations
    return found or None


def _destination(given: str, spec: FunctionSpec, names: Names) -> str:
    """An ARN, or that of a function of the same file."""
    if given.startswith("arn:"):
        return given
    prefix = names.function.removesuffix(spec.name) if not spec.settings.aws.name else ""
    return f"{names.arn.rpartition(':')[0]}:{prefix}{given}"


def _fetched_from(names: Names, package: LambdaPackage) -> str:
    """Named by all that is in it: what another version fetches stays as it is."""
    if not package.fetched:
        return ""
    every = "".join(sorted(part.digest for part in package.fetched))
    return f"{names.prefix}fetched/{hashlib.sha256(every.encode()).hexdigest()[:16]}/"


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def as_json(value: Any) -> str:
    """A policy as IAM takes it."""
    return json.dumps(value, sort_keys=True)
