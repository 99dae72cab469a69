"""Which of the media types that an answer may have its caller asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bentofn.runtime.http.exchange import Header

_JSON = "application/json"


def asked_for(headers: Iterable[Header], offered: Sequence[str]) -> str | None:
    """The media type, of those offered beside JSON, that a request's ``Accept`` prefers to JSON.

    A wildcard means JSON. Source: RFC 9110, section 12.5.1.

    Args:
        headers: The request's headers, names in lower case.
        offered: The media types.
    """
    weights: dict[str, float] = {}
    for name, value in headers:
        if name == b"accept":
            for part in value.decode("latin-1").lower().split(","):
                media_type, *parameters = (each.strip() for each in part.split(";"))
                weights[media_type] = _weight(parameters)
    if not weights:
        return None
    found = [(weights[each], -place, each) for place, each in enumerate(offered) if each in weights]
    if not found:
        return None
    weight, _, best = max(found)
    return best if weight > weights.get(_JSON, 0.0) else None


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
