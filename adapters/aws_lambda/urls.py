"""A function's URL, which belongs to its alias, and who may call it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html (since October 2025 both
permissions are needed) and
https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bentofn.adapters.url import Cors, Url

OPEN = "NONE"

PERMISSIONS: Mapping[str, Mapping[str, Any]] = {
    "FunctionURLAllowPublicAccess": {
        "Action": "lambda:InvokeFunctionUrl",
        "Principal": "*",
        "FunctionUrlAuthType": OPEN,
    },
    "FunctionURLAllowInvokeAction": {
        "Action": "lambda:InvokeFunction",
        "Principal": "*",
        "InvokedViaFunctionUrl": True,
    },
}
"""What AddPermission is told for an address that the whole world may call, by statement's name."""


def url_of(url: Url) -> dict[str, Any]:
    """A URL as CreateFunctionUrlConfig takes it."""
    return {
        "AuthType": "AWS_IAM" if url.authorizer == "aws_iam" else OPEN,
        "InvokeMode": url.invoke_mode,
        "Cors": {} if url.cors is None else _cors(url.cors),
    }


def of_live(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A URL as GetFunctionUrlConfig tells it, in the same form."""
    cors = raw.get("Cors") or {}
    return {
        "AuthType": raw["AuthType"],
        "InvokeMode": raw.get("InvokeMode", "BUFFERED"),
        "Cors": {key: value for key, value in cors.items() if value},
    }


def is_same(wanted: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether two URLs, in that form, are one: headers have no case, and lists no order."""
    return live is not None and _plain(wanted) == _plain(live)


def _plain(url: Mapping[str, Any]) -> dict[str, Any]:
    cors = {
        key: sorted(each.lower() for each in value) if isinstance(value, list) else value
        for key, value in url["Cors"].items()
    }
    return {**url, "Cors": cors}


def statement_names(policy: str) -> tuple[str, ...]:
    """The names of the statements of a policy, as GetPolicy tells it."""
    return tuple(each.get("Sid", "") for each in json.loads(policy).get("Statement", ()))


def _cors(cors: Cors) -> dict[str, Any]:
    found = {
        "AllowCredentials": cors.credentials,
        "AllowHeaders": list(cors.headers),
        "AllowMethods": list(cors.methods),
        "AllowOrigins": list(cors.origins),
        "ExposeHeaders": list(cors.exposed_headers),
        "MaxAge": cors.max_age,
    }
    return {key: value for key, value in found.items() if value}
