"""Which response an exception becomes. Bodies are BentoML 1.4's, its JSON list included."""

from __future__ import annotations

from pydantic_core import ValidationError

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.exchange import Reply, json_reply, text_reply

UNEXPECTED = "An unexpected error has occurred, please check the server log."


def reply_to(error: Exception) -> Reply:
    """The response to an exception that an endpoint raised."""
    if isinstance(error, BentoMLException):
        return _service_error(error)
    from starlette.exceptions import HTTPException

    if isinstance(error, HTTPException):
        return text_reply(error.status_code, error.detail)
    return json_reply(500, {"error": UNEXPECTED})


def invalid_input(error: ValidationError) -> Reply:
    """The response to a request body that is not what the endpoint takes."""
    count = error.error_count()
    summary = f"{count} validation error{'' if count == 1 else 's'} for Input"
    detail = error.errors(include_context=False, include_input=False)
    return json_reply(400, {"error": summary, "detail": detail})


def timed_out(seconds: float) -> Reply:
    """The response to a request that was not answered in time."""
    message = f"Not able to process the request in {seconds:g} seconds"
    return json_reply(504, {"error": message})


TOO_MANY_REQUESTS = json_reply(429, {"error": "Too many requests"})
NOT_FOUND = text_reply(404, "Not Found")
UNSUPPORTED_MEDIA_TYPE = json_reply(415, [{"error": "Unsupported media type"}])


def method_not_allowed(allowed: str) -> Reply:
    """The response to a request with the wrong method."""
    return text_reply(405, "Method Not Allowed", ((b"allow", allowed.encode()),))


def _service_error(error: BentoMLException) -> Reply:
    status = int(error.error_code)
    if status in (401, 403):
        return json_reply(status, {"error": "Authorization error"})
    if status >= 500:
        return json_reply(status, {"error": UNEXPECTED})
    return json_reply(status, [{"error": str(error)}])
