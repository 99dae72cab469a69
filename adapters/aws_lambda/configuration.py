"""A function's configuration in one form, as it is to be and as AWS tells it.

The members are those of CreateFunction and UpdateFunctionConfiguration.
Source: https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bentofn.adapters.changes import hidden_changes
from bentofn.adapters.plan import Change

Configuration = Mapping[str, Any]

LOG_LEVEL = "INFO"
"""Lambda's default of both levels of logs in JSON."""

SNAPPED, NOT_SNAPPED = "PublishedVersions", "None"

_FIELDS = {
    "Runtime": "runtime",
    "Handler": "handler",
    "Role": "role",
    "MemorySize": "memorySize",
    "Timeout": "timeout",
    "EphemeralStorage": "ephemeralStorageSize",
    "TracingConfig": "tracing",
    "VpcConfig": "vpc",
    "DeadLetterConfig": "onError",
    "KMSKeyArn": "kmsKeyArn",
    "FileSystemConfigs": "fileSystemConfig",
    "SnapStart": "snapStart",
    "LoggingConfig": "logs",
}
"""Member to the word for it in ``serverless.yml``."""


def of_live(raw: Mapping[str, Any]) -> Configuration:
    """The configuration that AWS tells of a version.

    Args:
        raw: An answer of GetFunctionConfiguration, or an entry of ListVersionsByFunction.
    """
    vpc = raw.get("VpcConfig") or {}
    logging = raw.get("LoggingConfig") or {}
    if logging.get("LogFormat") == "JSON":
        logging = {"ApplicationLogLevel": LOG_LEVEL, "SystemLogLevel": LOG_LEVEL, **logging}
    group = logging.get("LogGroup") or f"/aws/lambda/{raw['FunctionName']}"
    found: dict[str, Any] = {
        "Role": raw.get("Role", ""),
        "MemorySize": raw.get("MemorySize"),
        "Timeout": raw.get("Timeout"),
        "EphemeralStorage": {"Size": (raw.get("EphemeralStorage") or {}).get("Size", 512)},
        "Environment": {"Variables": (raw.get("Environment") or {}).get("Variables", {})},
        "TracingConfig": {"Mode": (raw.get("TracingConfig") or {}).get("Mode", "PassThrough")},
        "VpcConfig": {
            "SubnetIds": sorted(vpc.get("SubnetIds") or ()),
            "SecurityGroupIds": sorted(vpc.get("SecurityGroupIds") or ()),
        },
        "DeadLetterConfig": {"TargetArn": (raw.get("DeadLetterConfig") or {}).get("TargetArn", "")},
        "KMSKeyArn": raw.get("KMSKeyArn") or "",
        "FileSystemConfigs": list(raw.get("FileSystemConfigs") or ()),
        "SnapStart": {"ApplyOn": (raw.get("SnapStart") or {}).get("ApplyOn", NOT_SNAPPED)},
        "LoggingConfig": {"LogFormat": "Text", **logging, "LogGroup": group},
    }
    if raw.get("PackageType", "Zip") == "Zip":
        found["Runtime"] = raw.get("Runtime")
        found["Handler"] = raw.get("Handler")
        found["Layers"] = [each["Arn"] for each in raw.get("Layers") or ()]
    return found


def differing(wanted: Configuration, live: Configuration) -> dict[str, Any]:
    """The members of a configuration that are otherwise in another."""
    return {name: value for name, value in wanted.items() if live.get(name) != value}


def changes(wanted: Configuration, live: Configuration) -> Iterator[Change]:
    """What a plan says of two configurations; of variables only the names.

    Args:
        wanted: As it is to be; its layers may not have been published yet.
        live: As it is.
    """
    variables = [each.get("Environment", {}).get("Variables", {}) for each in (live, wanted)]
    yield from hidden_changes("environment", *variables)
    for name, word in _FIELDS.items():
        before, after = _shown(live.get(name)), _shown(wanted.get(name))
        if before != after:
            yield Change(word, before, after)


def of_creation(wanted: Configuration) -> dict[str, Any]:
    """The members that a new function needs to be given: those that are not empty."""
    return {name: value for name, value in wanted.items() if not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(each) for each in value.values())
    return value in ("", [], (), None)


def _shown(value: Any) -> Any:
    """A value without its wrapping, or None where it is empty."""
    if _is_empty(value):
        return None
    if isinstance(value, Mapping) and len(value) == 1:
        return next(iter(value.values()))
    return value
