"""What Lambda would refuse of a function, found before any call.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (sizes),
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (reserved names),
https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html (CORS),
https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html (EFS needs a VPC).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bentofn.adapters.aws_lambda.bento_rules import problems_of_bento
from bentofn.adapters.aws_lambda.capabilities import CAPABILITIES
from bentofn.adapters.aws_lambda.names import function_name
from bentofn.adapters.aws_lambda.snapstart import obstacles
from bentofn.adapters.capabilities import public_url
from bentofn.adapters.endpoints import endpoint_problems
from bentofn.adapters.local.core import conformity
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.plan import Problem
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.variables import CLOUD_FORMATION
from bentofn.packager.lambda_.parts import LambdaPackage
from bentofn.packager.lambda_.rules import MAX_LAYERS
from bentofn.runtime.manifest import BentoManifest

MAX_VARIABLES = 4096
"""Bytes of all variables, as JSON."""

MAX_DESCRIPTION = 256

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_EVENTS = "BENTOFN_EVENTS"
"""See :mod:`bentofn.runtime.aws_lambda.direct`."""
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+\Z")
_RESERVED = frozenset(
    ("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
     "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
     "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
     "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
     "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "BENTOFN_FUNCTION")
)  # fmt: skip
_TAKEN = ("vpc", "tracing", "kmsKeyArn", "awsKmsKeyArn", "layers", "fileSystemConfig", "onError",
          "logs")  # fmt: skip
"""Keys that are the framework's alone and are done."""

_IGNORED = {
    "condition": "it is CloudFormation's, which is not used",
    "dependsOn": "it is CloudFormation's, which is not used",
    "versionFunction": "a version is always published",
    "build": "the bento is built already",
    "disableLogs": "logs are always written",
}
_FUNCTIONS = ("Ref", "GetAtt", "Sub", "ImportValue", "Join", "Select", "FindInMap", "If", "Split")
"""CloudFormation's, by what stands after the ``!`` of their short form."""
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:.+\Z")


def problems_of_spec(spec: FunctionSpec, manifest: BentoManifest) -> list[Problem]:
    """What of a function's spec does not fit.

    Args:
        spec: The function.
        manifest: Its bento's.
    """
    settings = spec.settings
    stated = [
        each
        for each in CAPABILITIES.problems(settings)
        if each.field != "batching" or settings.batching is None or settings.batching.enabled
    ]
    said = {each.field for each in stated}
    profile = replace(load_profile("lambda"), name="Lambda")
    theirs = [
        Problem(
            "violation" if each.kind == "refused" else each.kind,
            "",
            f"{each.sentence.rstrip('.')}.",
        )
        for each in conformity.problems(profile, settings, manifest.contract)
        if not any(each.sentence.startswith((f"{field}:", f"{field} ")) for field in said)
        and not ("gpu" in said and "GPU" in each.sentence)
        and not ("concurrency" in said and "concurrency is" in each.sentence)
    ]
    own = (_names(spec), _ranges(settings), _variables(settings), _url(settings))
    rest = (
        _others(settings),
        _schedules(spec, manifest),
        problems_of_bento(settings, manifest),
        _image(settings),
        public_url(settings),
    )
    found = [problem for check in (*own, *rest) for problem in check]
    return [*stated, *theirs, *found]


def problems_of_package(settings: FunctionSettings, package: LambdaPackage) -> Iterator[Problem]:
    """What of a function's package does not fit how it is to run.

    Args:
        settings: How it runs.
        package: Its code.
    """
    for sentence in package.problems:
        yield _violation("", sentence)
    if package.fetched and settings.aws.role is not None:
        yield Problem(
            "differs", "role", "The role must allow s3:GetObject of what the function fetches."
        )
    for field, why in obstacles(settings, package.runtime, is_image=package.kind == "Image"):
        if settings.aws.snap_start:
            yield _violation(field, f"SnapStart {why}; else leave out snapStart.")
        elif settings.snapshot == "auto" and field == "runtime":
            yield Problem("differs", field, f"It starts without SnapStart, which {why}.")
    added = len(settings.aws.others.get("layers") or ())
    if added and package.kind == "Image":
        yield _violation("layers", "An image has no layers; leave out layers.")
    elif added and len(package.layers) + added > MAX_LAYERS:
        yield _violation(
            "layers",
            f"A function has {MAX_LAYERS} layers at most; its bento takes {len(package.layers)}, "
            f"and layers names {added}.",
        )


def _image(settings: FunctionSettings) -> Iterator[Problem]:
    """Said before an image is made, which takes minutes and a registry."""
    if settings.aws.snap_start and settings.aws.package == "image":
        yield _violation(
            "packaging", "SnapStart takes no images; package it as a zip, or leave out snapStart."
        )


def problems_of_size(variables: Mapping[str, str]) -> Iterator[Problem]:
    """What of variables is too much: Lambda's own error would have their values in it.

    Args:
        variables: The function's, or those that are known already.
    """
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_VARIABLES:
        yield _violation(
            "environment",
            f"Lambda takes {MAX_VARIABLES} bytes of variables, those of secrets and of bentofn "
            f"among them; these have {size}.",
        )


def _violation(field: str, sentence: str) -> Problem:
    return Problem("violation", field, sentence)


def _names(spec: FunctionSpec) -> Iterator[Problem]:
    name = function_name(spec)
    if not _NAME.match(name):
        yield _violation(
            "name",
            f"Lambda's names are 64 letters, digits, - and _ at most, and {name!r} is "
            f"{len(name)} long; say name.",
        )
    if len(spec.settings.description) > MAX_DESCRIPTION:
        yield _violation("description", f"A description has {MAX_DESCRIPTION} characters at most.")
    role = spec.settings.aws.role
    if role is not None and not _ARN.match(role):
        yield _violation("role", f"role must be the ARN of a role; {role!r} is none.")


def _ranges(settings: FunctionSettings) -> Iterator[Problem]:
    reserved, provisioned = settings.reserved_concurrency, settings.aws.provisioned_concurrency
    if reserved is not None and provisioned is not None and provisioned > reserved:
        yield _violation(
            "provisionedConcurrency",
            f"provisionedConcurrency {provisioned} is over reservedConcurrency {reserved}.",
        )
    for field, arn in (
        ("destinations", settings.event_rules and settings.event_rules.on_success),
        ("destinations", settings.event_rules and settings.event_rules.on_failure),
    ):
        service = arn.split(":")[2] if arn and _ARN.match(arn) else ""
        if service == "s3" and arn == (settings.event_rules and settings.event_rules.on_success):
            yield _violation(field, f"Lambda puts only what failed into a bucket ({arn}).")
        if service and service not in ("sqs", "sns", "lambda", "events", "s3"):
            yield _violation(field, f"Lambda sends no events to {service} ({arn}).")


def _variables(settings: FunctionSettings) -> Iterator[Problem]:
    names = [*settings.environment, *settings.secrets]
    for name in names:
        if name in _RESERVED:
            yield _violation(f"environment.{name}", f"Lambda sets {name} itself; leave it out.")
        elif not _VARIABLE.match(name):
            yield _violation(
                f"environment.{name}",
                f"A variable's name is two letters, digits or _ at least, a letter first; "
                f"{name!r} is not.",
            )
    for name in settings.environment.keys() & settings.secrets.keys():
        yield _violation(f"secrets.{name}", f"{name} is both in environment and in secrets.")
    yield from problems_of_size(settings.environment)


def _url(settings: FunctionSettings) -> Iterator[Problem]:
    cors = settings.url.cors if settings.url is not None else None
    if cors is None:
        return
    if cors.max_age > 86_400:
        yield _violation("url.cors", "maxAge of a function URL's CORS is 86400 s at most.")
    for what, given in (("allowedOrigins", cors.origins), ("allowedHeaders", cors.headers)):
        if len(given) > 100:
            yield _violation("url.cors", f"{what} of a function URL names 100 at most.")
    long = [method for method in cors.methods if len(method) > 6]
    if long or len(cors.methods) > 6:
        yield _violation(
            "url.cors",
            "allowedMethods of a function URL are 6 at most, of 6 letters at most (so not "
            "OPTIONS, which Lambda answers itself).",
        )
    if cors.credentials and "*" in cors.origins:
        yield _violation("url.cors", "allowCredentials takes named origins, and no '*'.")


def _others(settings: FunctionSettings) -> Iterator[Problem]:
    others = settings.aws.others
    for field in others:
        if field in _IGNORED:
            yield Problem("ignored", field, f"{field}: {_IGNORED[field]}.")
        elif field not in _TAKEN and CAPABILITIES.of(field).support == "native":
            yield Problem("refused", field, f"{field}: target aws-lambda does not set it.")
    vpc, files = others.get("vpc"), others.get("fileSystemConfig")
    if files and not vpc:
        yield _violation("fileSystemConfig", "A file system of EFS needs a vpc; add it.")
    if files and not str(files.get("localMountPath", "")).startswith("/mnt/"):
        yield _violation("fileSystemConfig", "localMountPath must begin with /mnt/.")
    role = [*settings.aws.statements, *settings.aws.managed_policies]
    for field, value in (*others.items(), ("provider.iam.role", role)):
        if field not in _IGNORED and not _is_plain(value):
            yield _violation(
                field, f"{field} must have plain ids and ARNs: there is no CloudFormation here."
            )
    for arn in others.get("layers") or ():
        if not (isinstance(arn, str) and _ARN.match(arn)):
            yield _violation("layers", f"layers must be ARNs of layers' versions; {arn!r} is none.")


def _is_plain(value: object) -> bool:
    """Whether it has none of CloudFormation's functions in it."""
    if isinstance(value, dict):
        return all(_is_plain(each) for each in value.values()) and not any(
            str(key) in _FUNCTIONS or str(key).startswith("Fn::") for key in value
        )
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return not (isinstance(value, str) and CLOUD_FORMATION in value)


def _schedules(spec: FunctionSpec, manifest: BentoManifest) -> Iterator[Problem]:
    yield from endpoint_problems(
        spec.settings.schedules, [api.name for api in manifest.contract.apis]
    )
    yield from _queues(spec, manifest)
    for each in spec.settings.schedules:
        if each.input_path is not None:
            yield _violation(
                "events.schedule",
                f"Schedule {each.name!r}: EventBridge Scheduler has no inputPath; say input.",
            )


def _queues(spec: FunctionSpec, manifest: BentoManifest) -> Iterator[Problem]:
    """Whether there is an endpoint for a message, which else comes again and again."""
    apis = [api.name for api in manifest.contract.apis]
    chosen = spec.settings.environment.get(_EVENTS)
    if not spec.settings.aws.queues or _EVENTS in spec.settings.secrets:
        return
    if chosen is None and len(apis) != 1:
        yield Problem(
            "differs",
            "events.sqs",
            f"A message must say which of {', '.join(apis)} it is for, as "
            f'{{"api": "{apis[0] if apis else "NAME"}", "body": {{...}}}}; or name one for all as '
            f"environment.{_EVENTS}.",
        )
    elif chosen is not None and chosen not in apis:
        yield _violation(
            f"environment.{_EVENTS}",
            f"{_EVENTS} is no endpoint of {manifest.tag}; the endpoints are {', '.join(apis)}.",
        )
