"""A function of ``serverless.yml``: the framework's section of it, ours, and the target's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bentofn.adapters.aws_words import AwsSettings, is_python, read_aws
from bentofn.adapters.batching import read_batching
from bentofn.adapters.event_rules import read_event_rules
from bentofn.adapters.local.core.constants import PLAIN, profile_names
from bentofn.adapters.registry import targets
from bentofn.adapters.schedules import read_schedules
from bentofn.adapters.secret import read_secrets
from bentofn.adapters.settings import Architecture, FunctionSettings
from bentofn.adapters.tuning import read_tuning
from bentofn.adapters.url import Cors, Url
from bentofn.adapters.yamltree import Node, Overlay, as_json
from bentofn.runtime.errors import UserError

T = TypeVar("T")

LOCAL = "local"
AWS = "aws-"
"""What the names of AWS's targets begin with."""
MODAL = "modal"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")

# fmt: off
FUNCTION_KEYS = [
    "handler", "image", "runtime", "runtimeManagement", "memorySize", "timeout", "environment",
    "events", "name", "description", "url", "reservedConcurrency", "provisionedConcurrency",
    "snapStart", "role", "tags", "vpc", "layers", "package", "architecture",
    "ephemeralStorageSize", "kmsKeyArn", "awsKmsKeyArn", "tracing", "onError", "destinations",
    "maximumRetryAttempts", "maximumEventAge", "fileSystemConfig", "condition", "dependsOn",
    "versionFunction", "disableLogs", "logRetentionInDays", "logDataProtectionPolicy", "logs",
    "build", "durableConfig", "tenancy", "capacityProvider", "recursiveLoop",
]
"""The framework's keys of a function, v3 and v4."""
CUSTOM_KEYS = [
    "project", "bento", "idleTimeout", "minInstances", "maxInstances", "bufferInstances",
    "concurrency", "batching", "onCold", "snapshot", "gpuSnapshot", "cpu", "gpu", "secrets",
    "regions", "as", "schedules", "packaging",
]
"""Ours."""
READ_OF_PROVIDER = [
    "name", "memorySize", "timeout", "environment", "architecture", "runtime", "region", "stage",
    "tags", "iam", "logRetentionInDays", "deploymentBucket", "rolePermissionsBoundary",
    "iamRoleStatements", "iamManagedPolicies",
]
_URL_KEYS = ["cors", "authorizer", "invokeMode"]
_CORS_KEYS = [
    "allowedOrigins", "allowedHeaders", "allowedMethods", "allowCredentials",
    "exposedResponseHeaders", "maxAge",
]
# fmt: on
_ADDED = ("environment", "secrets", "tags", "url")
"""What a target's own section adds to, where it replaces everything else. ``url`` is among them, so
that one which says only its CORS does not open it to the world."""


@dataclass(frozen=True)
class Surroundings:
    """What a function's section stands in.

    Args:
        service: The file's ``service``.
        provider: The provider's section, absent where it is only a name.
        directory: The file's folder.
        functions: The names of all functions.
        target: Where they are deployed to.
        stage: The framework's stage, where the command line says one.
    """

    service: str
    provider: Node
    directory: Path
    functions: Collection[str]
    target: str
    stage: str | None = None


def default_settings(target: str) -> FunctionSettings:
    """How a function runs of which no file says anything.

    What is open to the whole world and paid by the request is for a file to ask for: a cloud's
    functions have an address for those who sign or have a token, or none. Target local's is on
    this machine alone.
    """
    if target == LOCAL:
        return FunctionSettings()
    admits = target.startswith(AWS) or target == MODAL
    return FunctionSettings(url=Url(authorizer="aws_iam") if admits else None)


def foreign_runtime(framework: Node, provider: Node) -> str | None:
    """What a function runs on that is no Python, by its own section or the provider's.

    Such a function is not read any further: all it says is for another tool.
    """
    if framework["image"].value is not None:
        return None
    own = framework["runtime"].value
    runtime = provider["runtime"].value if own is None else own
    return runtime if isinstance(runtime, str) and not is_python(runtime) else None


def read_function(
    name: str, framework: Node, ours: Node, surroundings: Surroundings
) -> tuple[tuple[Path | None, str | None], FunctionSettings]:
    """Read one function.

    Args:
        name: Its name.
        framework: Its section under ``functions``.
        ours: Its section under ``custom.bentofn.functions``.
        surroundings: What these stand in.

    Returns:
        Its project's folder or its bento, and how it runs.

    Raises:
        UserError: Something is wrong; says the file, the key path and the nearest known key.
    """
    if not _NAME.match(name):
        raise framework.error(
            "a function's name is at most 64 letters, digits, - and _, not - or _ first"
        )
    framework.only(FUNCTION_KEYS)
    keys = [*CUSTOM_KEYS, *_profiles()]
    ours.only([*keys, "targets"])
    own = _of_target(ours["targets"], surroundings.target, keys)
    node = Overlay(own, framework, FUNCTION_KEYS, _ADDED)
    custom = Overlay(own, ours, keys, _ADDED)
    settings = _settings(node, custom, surroundings)
    return _source(custom, surroundings.directory), settings


def _profiles() -> list[str]:
    """The profiles that are a backend's."""
    return [name for name in profile_names() if name != PLAIN]


def _of_target(overrides: Node, target: str, keys: Sequence[str]) -> Node:
    """What is said for one target alone; what is said for others is only looked through."""
    named = overrides.keys()
    if named:
        overrides.no_typo([*targets(), target])
    for each in named:
        overrides[each].only([*FUNCTION_KEYS, *keys])
    return overrides[target]


def _settings(node: Node, custom: Node, surroundings: Surroundings) -> FunctionSettings:
    shared = surroundings.provider
    for_aws = surroundings.target.startswith(AWS)
    minimum = custom["minInstances"].integer(default=0, least=0)
    maximum = custom["maxInstances"].optional_integer(least=1)
    if maximum is not None and minimum > maximum:
        raise custom["minInstances"].error(f"it is over maxInstances ({maximum})")
    gpus = custom["gpu"].texts(default=())
    return FunctionSettings(
        memory=node["memorySize"].optional_integer(least=1)
        or shared["memorySize"].optional_integer(least=1),
        timeout=node["timeout"].number(
            default=shared["timeout"].number(default=60.0, above=0), above=0
        ),
        environment={**shared["environment"].strings(), **node["environment"].strings()},
        secrets=read_secrets(custom["secrets"], surroundings.directory),
        url=_url(node["url"], surroundings.target),
        reserved_concurrency=node["reservedConcurrency"].optional_integer(least=0),
        event_rules=read_event_rules(node, surroundings.functions),
        events=tuple(as_json(node["events"].value) or ()),
        schedules=read_schedules(node["events"], custom["schedules"]),
        idle_timeout=custom["idleTimeout"].optional_number(above=0),
        min_instances=minimum,
        max_instances=maximum,
        buffer_instances=custom["bufferInstances"].optional_integer(least=0),
        concurrency=custom["concurrency"].optional_integer(least=1),
        batching=read_batching(custom["batching"]),
        on_cold=custom["onCold"].optional_choice("queue", "hold", "error"),
        snapshot=custom["snapshot"].choice("auto", "criu", "template", "none"),
        gpu_snapshot=custom["gpuSnapshot"].boolean(default=False),
        cpu=custom["cpu"].optional_number(above=0),
        scratch=_scratch(node["ephemeralStorageSize"]),
        gpu=gpus[0] if gpus else None,
        gpu_fallbacks=gpus[1:],
        architecture=_read(
            surroundings.target != LOCAL,
            lambda: _architecture(node["architecture"]) or _architecture(shared["architecture"]),
            None,
        ),
        regions=custom["regions"].texts(default=()),
        description=_read(for_aws, lambda: node["description"].text(default=""), ""),
        tags=_read(
            surroundings.target != LOCAL,
            lambda: {**shared["tags"].strings(), **node["tags"].strings()},
            {},
        ),
        profile=custom["as"].choice(PLAIN, *_profiles()),
        aws=_read(
            for_aws,
            lambda: read_aws(surroundings.service, node, shared, custom, surroundings.stage),
            AwsSettings(surroundings.service),
        ),
        tuning=read_tuning(custom, _profiles()) if surroundings.target == LOCAL else {},
    )


def _read(is_read: bool, read: Callable[[], T], usual: T) -> T:
    """What the target does not read is no mistake there: the framework has more words for it."""
    try:
        return read()
    except UserError:
        if is_read:
            raise
        return usual


def _architecture(node: Node) -> Architecture | None:
    return node.optional_choice("x86_64", "arm64")


def _scratch(node: Node) -> int | None:
    size = node.optional_integer(least=512)
    if size is not None and size > 10_240:
        raise node.error("it must be 10240 at most")
    return size


def _source(custom: Node, directory: Path) -> tuple[Path | None, str | None]:
    bento = custom["bento"].text(default="") or None
    project = custom["project"].text(default="") or None
    if bento and project:
        raise custom.error("project and bento exclude each other; keep one")
    if bento:
        return None, bento
    folder = (directory / (project or ".")).resolve()
    if not folder.is_dir():
        raise custom["project"].error(f"there is no folder {project!r} beside the file")
    return folder, None


def _url(node: Node, target: str) -> Url | None:
    if node.value is None or not node.is_mapping:
        # None by default, as with the framework; target local's is on this machine alone.
        return Url() if node.boolean(default=target == LOCAL) else None
    node.only(_URL_KEYS)
    authorizer = node["authorizer"].text(default="") or None
    if authorizer not in (None, "aws_iam"):
        raise node["authorizer"].error("it can only be aws_iam")
    mode = node["invokeMode"].choice("BUFFERED", "RESPONSE_STREAM")
    return Url(cors=_cors(node["cors"]), authorizer=authorizer, invoke_mode=mode)


def _cors(node: Node) -> Cors | None:
    if not node.is_mapping:
        return Cors() if node.boolean(default=False) else None
    node.only(_CORS_KEYS)
    usual = Cors()
    return Cors(
        origins=node["allowedOrigins"].texts(default=usual.origins),
        headers=node["allowedHeaders"].texts(default=usual.headers),
        methods=node["allowedMethods"].texts(default=usual.methods),
        credentials=node["allowCredentials"].boolean(default=False),
        exposed_headers=node["exposedResponseHeaders"].texts(default=()),
        max_age=node["maxAge"].integer(default=0, least=0),
    )
