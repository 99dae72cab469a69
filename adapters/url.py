"""A function's address, who may call it, and who from a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cors:
    """Who else may call a function's URL from a browser.

    The defaults are what ``cors: true`` stands for in the Serverless Framework.
    Source: https://www.serverless.com/framework/docs/providers/aws/guide/functions (CORS).

    Args:
        origins: Allowed origins, or ``*``.
        headers: Request headers that a page may send.
        methods: Allowed methods, or ``*``.
        credentials: Whether cookies and authorization may be sent.
        exposed_headers: Response headers that a page may read.
        max_age: Seconds for which a browser may keep a preflight's answer.
    """

    origins: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = (
        "Content-Type",
        "X-Amz-Date",
        "Authorization",
        "X-Api-Key",
        "X-Amz-Security-Token",
        "X-Amzn-Trace-Id",
    )
    methods: tuple[str, ...] = ("*",)
    credentials: bool = False
    exposed_headers: tuple[str, ...] = ()
    max_age: int = 0


@dataclass(frozen=True)
class Url:
    """A function's address, which is public without an authorizer.

    Args:
        cors: Its CORS rules, or None to leave CORS to the service.
        authorizer: ``aws_iam`` where callers must sign, else None.
        invoke_mode: ``BUFFERED``, or ``RESPONSE_STREAM`` to pass on what the function writes.
    """

    cors: Cors | None = None
    authorizer: str | None = None
    invoke_mode: str = "BUFFERED"

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Url:
        """Read the ``dataclasses.asdict`` form (tuples may have become lists)."""
        cors: dict[str, Any] | None = raw["cors"]
        if cors is None:
            return cls(**raw)
        listed = {k: tuple(v) for k, v in cors.items() if isinstance(v, list | tuple)}
        return cls(**{**raw, "cors": Cors(**{**cors, **listed})})
