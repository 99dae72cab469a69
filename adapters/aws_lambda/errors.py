"""What kept a call to AWS from its answer, in one sentence: which call, why, what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId",
            "UnrecognizedClientException", "SignatureDoesNotMatch")  # fmt: skip
_THROTTLED = ("Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown",
              "RequestLimitExceeded", "ServiceUnavailable", "ServiceException")  # fmt: skip
_ACTIONS: Mapping[str, str] = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}
"""Calls whose permission is called otherwise."""


def action_of(service: str, operation: str) -> str:
    """The permission that a call needs, as a policy names it."""
    name = f"{service}:{operation}"
    return _ACTIONS.get(name, name)


def code_of(error: ClientError) -> str:
    """AWS's name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def statement(actions: list[str], resources: list[str]) -> str:
    """A policy's statement that allows something, as JSON."""
    found: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return json.dumps(found)


def refused(error: ClientError, service: str, operation: str, about: str) -> UserError:
    """The sentence of a call that AWS answered with an error.

    Args:
        error: The answer.
        service: Of which service.
        operation: Which call.
        about: The ARN, or the name, of what it was about.
    """
    code = code_of(error)
    message = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())
    call = f"{service}:{operation}"
    if code in DENIED:
        resource = about if about.startswith("arn:") else "*"
        remedy = (
            "add this statement to the policy of whoever deploys: "
            f"{statement([action_of(service, operation)], [resource])}"
        )
    elif code in _EXPIRED:
        remedy = "renew the credentials (aws sts get-caller-identity says whose they are)"
    elif code in _THROTTLED:
        remedy = "wait a minute and try again; what was made so far is taken up"
    else:
        remedy = "correct what it names and try again; what was made so far is taken up"
    return UserError(
        f"AWS refused {call} of {about}: {message.rstrip('.') or code} ({code}); {remedy}."
    )


def unreachable(error: Exception, service: str, operation: str) -> UserError:
    """The sentence of a call that had no answer."""
    message = " ".join(str(error).split())[:300].rstrip(".")
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return UserError(
            f"AWS cannot be asked ({service}:{operation}): {message}; set AWS_PROFILE, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure."
        )
    if kind == "NoRegionError":
        return UserError("No AWS region is chosen; set AWS_DEFAULT_REGION, or provider.region.")
    return UserError(
        f"AWS was not reached ({service}:{operation}): {message} ({kind}); check the network and "
        "try again, what was made so far is taken up."
    )
