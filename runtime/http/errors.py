"""Which response an exception becomes. Bodies are BentoML 1.4's, its JSON list included."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from urllib.parse import quote

from pydantic_core import ValidationError

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.exchange import Reply, Scope, json_reply, text_reply

UNEXPECTED = "An unexpected error has occurred, please check the server log."


class WrongResultError(Exception):
    """A method returned what its annotation does not allow: nothing that a caller could mend.

    Args:
        fault: What pydantic says of it.
    """

    def __init__(self, fault: ValidationError) -> None:
        super().__init__(str(fault))
        self.fault = fault


def reply_to(error: Exception) -> Reply:
    """The response to an exception that an endpoint raised."""
    if isinstance(error, BentoMLException):
        return _service_error(error)
    if isinstance(error, ValidationError):
        return invalid(error, error.title)
    starlette = sys.modules.get("starlette.exceptions")
    if starlette is not None and isinstance(error, starlette.HTTPException):
        return text_reply(error.status_code, error.detail)
    return json_reply(500, {"error": UNEXPECTED})


def invalid(error: ValidationError, title: str = "Input") -> Reply:
    """The response to a request body that is not what the endpoint takes.

    BentoML answers so to every pydantic error, and never says "errors". Of those we take only a
    wrong result out, which is :class:`WrongResultError`.
    """
    summary = f"{error.error_count()} validation error for {title}"
    detail = error.errors(include_context=False, include_input=False)
    return json_reply(400, {"error": summary, "detail": detail})


def faults(error: ValidationError) -> str:
    """What is wrong and where, without the values: they may be the caller's secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        ".".join(map(str, (error.title, *each["loc"]))) + f": {each['msg']}" for each in found
    )


def timed_out(seconds: float) -> Reply:
    """The response to a request that was not answered in time."""
    message = f"Not able to process the request in {seconds:g} seconds"
    return json_reply(504, {"error": message})


NOT_READY = text_reply(503, "\n")
TOO_MANY_REQUESTS = json_reply(429, {"error": "Too many requests"})
NOT_FOUND = text_reply(404, "Not Found")
UNSUPPORTED_MEDIA_TYPE = json_reply(
    415, [{"error": "application/vnd.bentoml+pickle is not allowed in main server"}]
)


def unsupported(media_type: str, taken: Sequence[str]) -> Reply:
    """The response to a body that an endpoint takes otherwise."""
    instead = " or ".join((*taken, "application/json"))
    return json_reply(415, [{"error": f"{media_type} is not taken here; send {instead}"}])


def method_not_allowed(allowed: str) -> Reply:
    """The response to a request with the wrong method."""
    return text_reply(405, "Method Not Allowed", ((b"allow", allowed.encode()),))


def redirected(scope: Scope) -> Reply:
    """The response to a path that has a slash too much or too little at its end.

    The location is relative, so that it holds wherever the application is mounted.
    """
    path: str = scope["path"]
    last = path.rstrip("/").rpartition("/")[2]
    location = quote(f"../{last}" if path.endswith("/") else f"./{last}/").encode()
    query = scope.get("query_string", b"")
    return text_reply(307, "", ((b"location", location + (b"?" + query if query else b"")),))


def _service_error(error: BentoMLException) -> Reply:
    status = int(error.error_code)
    if status in (401, 403):
        return json_reply(status, {"error": "Authorization error"})
    if status >= 500:
        return json_reply(status, {"error": UNEXPECTED})
    return json_reply(status, [{"error": str(error)}])
