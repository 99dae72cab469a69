"""Errors in the shapes that Lambda's API answers with.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors and answers
of the service, whose bodies say ``Message`` for some types and ``message`` for the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_CAPITAL = frozenset({"ResourceNotFoundException"})
_UNTYPED = frozenset({"ValidationException"})

RESERVED_LIMIT = "ReservedFunctionConcurrentInvocationLimitExceeded"
RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"
ACCOUNT_LIMIT = "ConcurrentInvocationLimitExceeded"
FUNCTION_RATE = "FunctionInvocationRateLimitExceeded"


class LambdaError(Exception):
    """An answer of Lambda's API that is an error.

    Args:
        status: HTTP status.
        type: The exception's name in the API.
        message: What it says.
        reason: Why a request was throttled.
    """

    def __init__(self, status: int, type: str, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.reason = reason

    def body(self) -> bytes:
        """The JSON body."""
        document = {"Message" if self.type in _CAPITAL else "message": self.message}
        if self.reason is not None:
            document["Reason"] = self.reason
        if self.type not in _UNTYPED:
            document["Type"] = "User" if self.status < 500 else "Service"
        return json.dumps(document).encode()


def function_not_found(arn: str) -> LambdaError:
    """There is no function, version or alias of this ARN."""
    return LambdaError(404, "ResourceNotFoundException", f"Function not found: {arn}")


def not_found(message: str) -> LambdaError:
    """Something that is not a function is not there."""
    return LambdaError(404, "ResourceNotFoundException", message)


def invalid(message: str) -> LambdaError:
    """A parameter's value does not do."""
    return LambdaError(400, "InvalidParameterValueException", message)


def validation(value: object, name: str, constraint: str) -> LambdaError:
    """A parameter breaks the rule that the API's model states for it."""
    message = f"Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
    return LambdaError(400, "ValidationException", f"1 validation error detected: {message}")


def section(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a call's document that is an object; empty where it is not there.

    Raises:
        LambdaError: It is something else.
    """
    found = document.get(key)
    if found is not None and not isinstance(found, dict):
        raise LambdaError(400, "SerializationException", f"{key} is no object.")
    return found or {}


def throttled(reason: str) -> LambdaError:
    """There is no room for another invocation."""
    return LambdaError(429, "TooManyRequestsException", "Rate Exceeded.", reason)


def too_little_left(least: int) -> str:
    """What is said to who reserves more than may be, with how much must be left."""
    return (
        "Specified ReservedConcurrentExecutions for function decreases account's "
        f"UnreservedConcurrentExecution below its minimum value of [{least}]."
    )


def too_large(limit: int) -> LambdaError:
    """A request's payload is over the limit of its kind."""
    message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    return LambdaError(413, "RequestTooLargeException", message)
