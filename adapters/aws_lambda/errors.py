"""What kept a call to AWS from its answer, in one sentence: which call, why, what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError",
          "403")  # fmt: skip
_SAYS_WHAT = re.compile(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: (\S*[^\s.,]))?")
"""A call may need more than its own permission, such as iam:PassRole; AWS says which is missing."""
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


TAKEN_UP = "what was made so far is taken up"


def refused(
    error: ClientError, service: str, operation: str, about: str, *, has_written: bool = False
) -> UserError:
    """The sentence of a call that AWS answered with an error.

    Args:
        error: The answer.
        service: Of which service.
        operation: Which call.
        about: The ARN, or the name, of what it was about.
        has_written: Whether something may have been made before it.
    """
    code = code_of(error)
    message = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())
    message = message.partition(" String measured:")[0]  # all variables with their values
    call = f"{service}:{operation}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if message.startswith("<"):  # a page of what stands between, which is no sentence
        message = "It answered with a page of HTML"
    if code in DENIED:
        said = _SAYS_WHAT.search(message)
        action = said[1] if said is not None else action_of(service, operation)
        resource = (said[2] if said is not None else None) or about
        remedy = (
            "add this statement to the policy of whoever deploys: "
            f"{statement([action], [resource if resource.startswith('arn:') else '*'])}"
        )
    elif code in _EXPIRED:
        remedy = "renew the credentials (aws sts get-caller-identity says whose they are)"
    elif code in _THROTTLED or status >= 500:
        remedy = "wait a minute and try again"
    else:
        remedy = "correct what it names and try again"
    if has_written:
        remedy += f"; {TAKEN_UP}"
    return UserError(
        f"AWS refused {call} of {about}: {message.rstrip('.') or code} ({code}); {remedy}."
    )


def unreachable(
    error: Exception, service: str, operation: str, *, has_written: bool = False
) -> UserError:
    """The sentence of a call that had no answer; see :func:`refused`."""
    message = " ".join(str(error).split())[:300].rstrip(".")
    kind = type(error).__name__
    if "SSO" in kind or kind == "TokenRetrievalError":
        return UserError(
            f"AWS cannot be asked ({service}:{operation}): {message}; log in: aws sso login."
        )
    if kind in ("ProfileNotFound", "ConfigParseError", "ConfigNotFound"):
        return UserError(f"AWS cannot be asked: {message}; correct AWS_PROFILE, or ~/.aws/config.")
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return UserError(
            f"AWS cannot be asked ({service}:{operation}): {message}; set AWS_PROFILE, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure."
        )
    if kind == "NoRegionError":
        return UserError("No AWS region is chosen; set AWS_DEFAULT_REGION, or provider.region.")
    rest = f"; {TAKEN_UP}" if has_written else ""
    return UserError(
        f"AWS was not reached ({service}:{operation}): {message} ({kind}); check the network and "
        f"try again{rest}."
    )
