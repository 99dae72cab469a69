"""Which endpoint a call or a schedule means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bentofn.adapters.plan import Problem
from bentofn.adapters.schedule import Schedule
from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from bentofn.runtime.manifest import ServiceContract


def routes_of(contract: ServiceContract) -> dict[str, str]:
    """Name to path of a service's endpoints."""
    return {api.name: contract.path_prefix + api.route for api in contract.apis}


def choose_route(function: str, routes: Mapping[str, str], api: str | None) -> str:
    """The path that a call is for.

    Args:
        function: Whose, for messages.
        routes: Name to path of its endpoints.
        api: The endpoint's name; None for the only one.

    Raises:
        UserError: There is none of this name, or several and none was named.
    """
    if not routes:
        raise UserError(f"Function {function!r} has no endpoint to invoke.")
    if api is None and len(routes) == 1:
        return next(iter(routes.values()))
    if api is None or api not in routes:
        asked = "has several endpoints" if api is None else f"has no endpoint {api!r}"
        raise UserError(f"Function {function!r} {asked}; name one of: {', '.join(routes)}.")
    return routes[api]


def endpoint_problems(schedules: Sequence[Schedule], apis: Sequence[str]) -> Iterator[Problem]:
    """What of schedules does not name an endpoint that there is.

    Args:
        schedules: They.
        apis: The names of the service's endpoints.
    """
    for each in schedules:
        if each.api is not None and each.api not in apis:
            sentence = f"calls {each.api!r}; the endpoints are {', '.join(apis)}."
        elif each.api is None and len(apis) != 1:
            sentence = f"names no endpoint; say api, one of {', '.join(apis)}."
        else:
            continue
        yield Problem("violation", "events.schedule", f"Schedule {each.name!r} {sentence}")
