"""The exceptions that a service raises to answer with an HTTP status."""

from bentofn.runtime.errors import (
    BadInput,
    BentoMLException,
    InternalServerError,
    InvalidArgument,
    NotFound,
    ServiceUnavailable,
    UnprocessableEntity,
)

__all__ = [
    "BadInput",
    "BentoMLException",
    "InternalServerError",
    "InvalidArgument",
    "NotFound",
    "ServiceUnavailable",
    "UnprocessableEntity",
]
