"""``serverless.yml``: the Serverless Framework's file, read into a deployment.

What the framework has no word for stands under ``custom.bentofn``, so that ``osls`` and
``serverless`` accept the same file.

Source: https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bentofn.adapters.event_rules import read_event_rules
from bentofn.adapters.local.core.constants import PLAIN, profile_names
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedules import read_schedules
from bentofn.adapters.url import Cors, Url
from bentofn.adapters.yamltree import Node
from bentofn.runtime.errors import UserError

FILE_NAME = "serverless.yml"

_FUNCTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")

# fmt: off
# The framework's own keys, v3 and v4. The ones that bentofn does not read are for the framework.
_TOP_KEYS = [
    "service", "frameworkVersion", "provider", "functions", "custom", "plugins", "package",
    "resources", "layers", "params", "useDotenv", "configValidationMode",
    "variablesResolutionMode", "deprecationNotificationMode", "disabledDeprecations", "stages",
    "app", "org", "licenseKey", "outputs", "console", "dashboard", "build", "state", "extend",
    "constructs", "configPath",
]
_FUNCTION_KEYS = [
    "handler", "image", "runtime", "runtimeManagement", "memorySize", "timeout", "environment",
    "events", "name", "description", "url", "reservedConcurrency", "provisionedConcurrency",
    "snapStart", "role", "tags", "vpc", "layers", "package", "architecture",
    "ephemeralStorageSize", "kmsKeyArn", "awsKmsKeyArn", "tracing", "onError", "destinations",
    "maximumRetryAttempts", "maximumEventAge", "fileSystemConfig", "condition", "dependsOn",
    "versionFunction", "disableLogs", "logRetentionInDays", "logDataProtectionPolicy", "logs",
    "build", "durableConfig", "tenancy", "capacityProvider", "recursiveLoop",
]
_CUSTOM_KEYS = [
    "project", "bento", "idleTimeout", "minInstances", "maxInstances", "concurrency", "snapshot",
    "cpu", "gpu", "as", "schedules",
]
_URL_KEYS = ["cors", "authorizer", "invokeMode"]
_CORS_KEYS = [
    "allowedOrigins", "allowedHeaders", "allowedMethods", "allowCredentials",
    "exposedResponseHeaders", "maxAge",
]
# fmt: on


@dataclass(frozen=True)
class Provider:
    """The framework's ``provider`` section.

    Args:
        name: The framework's provider, usually ``aws``.
        raw: The whole section, for the adapter of that provider. Never printed.
    """

    name: str = "aws"
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class FunctionDeclaration:
    """A function of the file, before its bento is known.

    Args:
        name: Its name.
        project: The project's folder to build, or None where ``bento`` is given.
        bento: ``name[:version]`` in the store, or None.
        settings: How it runs.
        raw: The framework's section as written, for the adapters. Never printed.
    """

    name: str
    project: Path | None
    bento: str | None
    settings: FunctionSettings
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def spec(self, bento: str) -> FunctionSpec:
        """The function to deploy, made from this bento (``name:version``)."""
        return FunctionSpec(self.name, bento, self.settings)


@dataclass(frozen=True)
class DeploymentSpec:
    """What one ``serverless.yml`` says.

    Args:
        service: The name of the whole.
        provider: The ``provider`` section.
        functions: The functions by name, in the file's order.
        path: The file, or None where there was none.
    """

    service: str
    provider: Provider
    functions: Mapping[str, FunctionDeclaration]
    path: Path | None = None


def load_spec(directory: Path, environ: Mapping[str, str] = os.environ) -> DeploymentSpec | None:
    """Read ``serverless.yml`` (or ``.yaml``) of a folder; None where there is none.

    Raises:
        UserError: The file is wrong; says the file, the key path and the nearest known key.
    """
    for name in (FILE_NAME, "serverless.yaml"):
        if (directory / name).is_file():
            return read_spec(directory / name, environ)
    return None


def default_spec(
    name: str, *, project: Path | None = None, bento: str | None = None
) -> DeploymentSpec:
    """One function with default settings, for a bento or project without ``serverless.yml``.

    Args:
        name: The function's name: the bento's; what a function's name may not hold becomes ``-``.
        project: The project's folder, where it is to be built.
        bento: ``name:version``, where it is built already.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:64] or "service"
    declaration = FunctionDeclaration(name, project, bento, FunctionSettings())
    return DeploymentSpec(name, Provider(), {name: declaration})


def read_spec(path: Path, environ: Mapping[str, str] = os.environ) -> DeploymentSpec:
    """Read a file in Serverless Framework syntax.

    Raises:
        UserError: See :func:`load_spec`.
    """
    root = Node(_parse(path), path.name, (), environ)
    root.only(_TOP_KEYS)
    service = root["service"].text()
    provider = root["provider"]
    if provider.is_mapping:
        provider.no_typo(["name", "memorySize", "timeout", "environment"])
    functions = root["functions"]
    custom = root["custom"]["bentofn"]
    custom.only(["functions"])
    custom["functions"].only(functions.keys(), what="function")
    declared = {
        name: _function(
            name,
            functions[name],
            provider,
            custom["functions"][name],
            path.parent,
            functions.keys(),
        )
        for name in functions.keys()  # noqa: SIM118 - a Node is no mapping
    }
    if not declared:
        raise UserError(f"{path.name}: it declares no function; add one under functions.")
    name = provider["name"].text(default="aws") if provider.is_mapping else provider.text()
    raw = provider.value if provider.is_mapping else {}
    return DeploymentSpec(service, Provider(name, raw), declared, path)


def _parse(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _CloudFormationLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UserError(f"{path.name}{line}: not valid YAML: {problem}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name}: it is not UTF-8 text; save it as UTF-8.") from error


class _CloudFormationLoader(yaml.SafeLoader):
    """Safe YAML in which ``!Ref``, ``!Sub`` and their like stand for what they tag."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_CloudFormationLoader.add_multi_constructor("!", _tagged)


def _function(
    name: str,
    node: Node,
    provider: Node,
    custom: Node,
    directory: Path,
    functions: Collection[str],
) -> FunctionDeclaration:
    if not _FUNCTION_NAME.match(name):
        raise node.error(
            "a function's name is at most 64 letters, digits, - and _, not - or _ first"
        )
    node.only(_FUNCTION_KEYS)
    custom.only(_CUSTOM_KEYS)
    project, bento = _source(custom, directory)
    shared = provider if provider.is_mapping else node.absent()
    minimum = custom["minInstances"].integer(default=0, least=0)
    maximum = custom["maxInstances"].optional_integer(least=1)
    if maximum is not None and minimum > maximum:
        raise custom["minInstances"].error(f"it is over maxInstances ({maximum})")
    settings = FunctionSettings(
        memory=node["memorySize"].optional_integer(least=1)
        or shared["memorySize"].optional_integer(least=1),
        timeout=node["timeout"].number(
            default=shared["timeout"].number(default=60.0, above=0), above=0
        ),
        environment={**shared["environment"].strings(), **node["environment"].strings()},
        url=_url(node["url"]),
        reserved_concurrency=node["reservedConcurrency"].optional_integer(least=0),
        event_rules=read_event_rules(node, functions),
        events=tuple(node["events"].value or ()),
        schedules=read_schedules(node["events"], custom["schedules"]),
        idle_timeout=custom["idleTimeout"].optional_number(above=0),
        min_instances=minimum,
        max_instances=maximum,
        concurrency=custom["concurrency"].optional_integer(least=1),
        snapshot=custom["snapshot"].choice("auto", "criu", "template", "none"),
        cpu=custom["cpu"].optional_number(above=0),
        scratch=_scratch(node["ephemeralStorageSize"]),
        gpu=custom["gpu"].text(default="") or None,
        profile=custom["as"].choice(PLAIN, *(name for name in profile_names() if name != PLAIN)),
    )
    return FunctionDeclaration(name, project, bento, settings, node.value or {})


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


def _url(node: Node) -> Url | None:
    if node.value is None or not node.is_mapping:
        # The framework gives no URL by default; every target of ours but Lambda has one always.
        return Url() if node.boolean(default=True) else None
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
