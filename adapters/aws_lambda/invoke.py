"""Calls a function by Lambda's own Invoke, which needs no address and signs for itself."""

from __future__ import annotations

import json
from typing import Any

from bentofn.adapters.aws_lambda.names import ALIAS, Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.lambda_answer import JSON, as_answered
from bentofn.adapters.protocol import Reply
from bentofn.runtime.errors import UserError

MAX_PAYLOAD = 6 << 20
"""Bytes of a request, and of an answer."""


def invoke(session: Session, names: Names, body: bytes, api: str | None) -> Reply:
    """Send a JSON body to an endpoint.

    Args:
        session: The account.
        names: The function.
        body: JSON.
        api: The endpoint; None for the only one.

    Raises:
        UserError: The body is no JSON, or AWS refused.
    """
    payload = body or b"{}"
    if api is not None:
        try:
            payload = json.dumps({"api": api, "body": json.loads(payload)}).encode()
        except ValueError:
            raise UserError("The body is no JSON; functions on Lambda are sent JSON.") from None
    if len(payload) > MAX_PAYLOAD:
        raise UserError(
            f"The body has {len(payload) / 1e6:.1f} MB, and Lambda takes {MAX_PAYLOAD / 1e6:.1f}; "
            "put it into S3 and send where it is."
        )
    answer = session.ask(
        "lambda",
        "Invoke",
        names.alias_arn,
        FunctionName=names.function,
        Qualifier=ALIAS,
        Payload=payload,
    )
    content: bytes = answer["Payload"].read()
    headers = {"content-type": JSON}
    version = answer.get("ExecutedVersion")
    if version:
        headers["x-amz-executed-version"] = version
    if answer.get("FunctionError"):
        return Reply(500, headers, iter([_error(content)]))
    headers["content-type"], body = as_answered(content)
    return Reply(200, headers, iter([body]))


def _error(content: bytes) -> bytes:
    """The error that a function failed with, as the service's own answers have it."""
    try:
        raw: Any = json.loads(content)
    except ValueError:
        return content
    message = raw.get("errorMessage", raw) if isinstance(raw, dict) else raw
    kind = raw.get("errorType", "") if isinstance(raw, dict) else ""
    return json.dumps({"error": message, "type": kind}).encode()
