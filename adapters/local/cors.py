"""Cross-origin rules of a function's URL, answered by the platform as a backend would.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.adapters.url import Cors

PREFIX = "access-control-"
"""Response headers with this prefix are the platform's where it has CORS rules."""


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks what it may do."""
    return (
        method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers
    )


def preflight_headers(cors: Cors, headers: Mapping[str, str]) -> dict[str, str]:
    """What to answer a preflight with; nothing is allowed to an origin that is not."""
    allowed = response_headers(cors, headers.get("Origin"))
    if "Access-Control-Allow-Origin" not in allowed:
        return allowed
    asked_method = headers["Access-Control-Request-Method"]
    asked_headers = headers.get("Access-Control-Request-Headers", "")
    allowed["Access-Control-Allow-Methods"] = (
        asked_method if "*" in cors.methods else ", ".join(cors.methods)
    )
    allowed["Access-Control-Allow-Headers"] = (
        asked_headers or "*" if "*" in cors.headers else ", ".join(cors.headers)
    )
    allowed["Access-Control-Max-Age"] = str(cors.max_age)
    return allowed


def response_headers(cors: Cors, origin: str | None) -> dict[str, str]:
    """What to add to an answer.

    Args:
        cors: The rules.
        origin: The request's ``Origin``, if it has one.
    """
    if origin is None:
        return {}
    anyone = "*" in cors.origins
    headers = {} if anyone and not cors.credentials else {"Vary": "Origin"}
    if not anyone and origin not in cors.origins:
        return headers
    # With credentials a browser takes no star.
    headers["Access-Control-Allow-Origin"] = "*" if anyone and not cors.credentials else origin
    if cors.credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
    if cors.exposed_headers:
        headers["Access-Control-Expose-Headers"] = ", ".join(cors.exposed_headers)
    return headers
