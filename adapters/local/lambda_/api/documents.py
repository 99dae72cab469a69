"""Functions and their settings as Lambda's API describes them."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.lambda_.api.names import ACCOUNT, LATEST, Name, arn
from bentofn.adapters.local.state import Deployment

HANDLER = "bentofn.runtime.aws_lambda.handler"
_SMALLEST_DISK = 512
_UNREADABLE = {
    "Error": {
        "ErrorCode": "AccessDeniedException",
        "Message": "The values are for callers who sign with the keys of: bentofn emulator env.",
    }
}
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_EnvironmentResponse.html"""


def configuration(deployment: Deployment, qualifier: str | None = None) -> dict[str, Any]:
    """A function's configuration.

    Args:
        deployment: The version.
        qualifier: What it is asked for by: the document's ARN ends with it.
    """
    spec = deployment.spec
    settings = spec.settings
    version = str(deployment.version) if qualifier and qualifier != LATEST else LATEST
    rules = settings.event_rules
    letters = rules.dead_letters if rules is not None else None
    return {
        "FunctionName": spec.name,
        "FunctionArn": arn(spec.name, qualifier),
        "Runtime": "python3.12",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/bentofn",
        "Handler": HANDLER,
        "CodeSize": 0,
        "CodeSha256": deployment.digest.removeprefix("sha256:"),
        "Description": "",
        "Timeout": round(settings.timeout),
        "MemorySize": load_profile("lambda").size(settings).memory,
        "LastModified": _moment(deployment.created),
        "Version": version,
        "Environment": {"Variables": dict(settings.environment)},
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": deployment.digest.rpartition(":")[2][:36],
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": settings.scratch or _SMALLEST_DISK},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{spec.name}"},
        **({"DeadLetterConfig": {"TargetArn": letters}} if letters else {}),
    }


def function(deployment: Deployment, qualifier: str | None, reserved: int | None) -> dict[str, Any]:
    """What ``GetFunction`` answers with.

    Args:
        deployment: The version.
        qualifier: What it is asked for by.
        reserved: Its reserved concurrency, if it has any.
    """
    document: dict[str, Any] = {
        "Configuration": configuration(deployment, qualifier),
        "Code": {"RepositoryType": "bentofn", "Location": deployment.spec.bento},
        "Tags": {},
    }
    if reserved is not None:
        document["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    return document


def url_config(deployment: Deployment, address: str) -> dict[str, Any] | None:
    """A function's URL, None where it has none.

    Args:
        deployment: The live version.
        address: Where it answers.
    """
    url = deployment.spec.settings.url
    if url is None:
        return None
    moment = _moment(deployment.created)
    document: dict[str, Any] = {
        "FunctionUrl": f"{address}/",
        "FunctionArn": arn(deployment.spec.name),
        "AuthType": "AWS_IAM" if url.authorizer else "NONE",
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "InvokeMode": url.invoke_mode,
    }
    if url.cors is not None:
        document["Cors"] = {
            "AllowOrigins": list(url.cors.origins),
            "AllowHeaders": list(url.cors.headers),
            "AllowMethods": list(url.cors.methods),
            "AllowCredentials": url.cors.credentials,
            "ExposeHeaders": list(url.cors.exposed_headers),
            "MaxAge": url.cors.max_age,
        }
    return document


def without_secrets(document: Any) -> Any:
    """A description as those get it who may not read what functions have in their environment.

    Args:
        document: Any answer of the API's.
    """
    if isinstance(document, list):
        return [without_secrets(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {
        key: _UNREADABLE if key == "Environment" else without_secrets(value)
        for key, value in document.items()
    }


def event_config(name: Name, rules: dict[str, Any]) -> dict[str, Any]:
    """The rules for the events of a function, version or alias.

    Args:
        name: Whose.
        rules: The rules, as the API calls them.
    """
    return {
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
        **rules,
        "FunctionArn": arn(name.function, name.qualifier or LATEST),
        "LastModified": time.time(),
    }


def _moment(created: str) -> str:
    return datetime.fromisoformat(created).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
