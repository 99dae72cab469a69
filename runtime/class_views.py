"""FastAPI's endpoints that are methods of a service's class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute

from bentofn.runtime.api import function_of
from bentofn.runtime.current import get_current_service
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.members import declared_members


def class_views(app: FastAPI, cls: object) -> None:
    """Have the methods of a class that are endpoints of an application get the instance as self.

    Args:
        app: The application; its routes are changed in their places.
        cls: The service's class.

    Raises:
        BentoMLException: Such a method takes no parameter.
    """
    if not isinstance(cls, type):
        return
    functions = map(function_of, declared_members(cls).values())
    methods = [function for function in functions if inspect.isroutine(function)]
    for position, route in enumerate(app.router.routes):
        if isinstance(route, (APIRoute, APIWebSocketRoute)) and route.endpoint in methods:
            _bind(route.endpoint)
            app.router.routes[position] = _analysed_again(route)


async def _instance() -> Any:
    """The service's instance. FastAPI would run a plain function on a thread."""
    return get_current_service()


def _bind(endpoint: Callable[..., Any]) -> None:
    """Make the first parameter a dependency, and the others keywords, which may follow it."""
    signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    if not parameters:
        raise BentoMLException(
            f"{endpoint.__qualname__} is a method: its first parameter must be self"
        )
    first = parameters[0].replace(default=Depends(_instance))
    rest = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters[1:]]
    vars(endpoint)["__signature__"] = signature.replace(parameters=[first, *rest])


def _analysed_again(route: APIRoute | APIWebSocketRoute) -> APIRoute | APIWebSocketRoute:
    """The same route, made anew: FastAPI reads an endpoint's parameters when it makes a route."""
    made = type(route)
    names = list(inspect.signature(made.__init__).parameters)[3:]
    options = {name: getattr(route, name) for name in names if hasattr(route, name)}
    if getattr(route, "stream_item_type", None) is not None:
        del options["response_model"]  # what the endpoint yields is read from its annotation
    return made(route.path, route.endpoint, **options)
