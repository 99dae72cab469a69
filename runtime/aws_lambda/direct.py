"""An invocation that is no HTTP request: its event is an endpoint's JSON, and so is its answer.

With one endpoint the event is its body; with several it says which: ``{"api": ..., "body": ...}``,
or the function's variable ``BENTOFN_EVENTS`` does, for events whose sender cannot.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, ClassVar

from mangum.adapter import HANDLERS
from mangum.types import LambdaHandler, Response, Scope

from bentofn.runtime.service import Service

DEFAULT = "BENTOFN_EVENTS"
"""Variable with the endpoint that gets the events that name none."""


class EndpointFailed(Exception):  # noqa: N818 - its name is the function error's type
    """An endpoint answered with an error."""


class UnknownEndpoint(Exception):  # noqa: N818 - as above
    """The event names no endpoint."""


def direct_event(service: Service[Any]) -> type[LambdaHandler]:
    """Mangum's handler of direct invocations of a service."""
    routes = {name: service.path_prefix + api.route for name, api in service.apis.items()}

    class DirectEvent(_DirectEvent):
        routes_by_name = routes

    return DirectEvent


class _DirectEvent:
    """See Mangum's ``LambdaHandler``."""

    routes_by_name: ClassVar[dict[str, str]] = {}

    def __init__(self, event: Any, context: Any, config: Any) -> None:
        self._context = context
        self._route, self._input = self._choose(event)

    @classmethod
    def infer(cls, event: Any, context: Any, config: Any) -> bool:
        """Whether no other of Mangum's handlers takes it."""
        return not isinstance(event, dict) or not any(
            each.infer(event, context, config) for each in HANDLERS
        )

    @property
    def body(self) -> bytes:
        """The request's body."""
        return json.dumps(self._input).encode()

    @property
    def scope(self) -> Scope:
        """The request, as ASGI has it."""
        body = self.body
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": self._route,
            "raw_path": self._route.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                [b"host", b"lambda"],
                [b"content-type", b"application/json"],
                [b"content-length", b"%d" % len(body)],
            ],
            "client": ("127.0.0.1", 0),
            "server": ("lambda", 443),
            "aws.event": self._input,
            "aws.context": self._context,
        }

    def __call__(self, response: Response) -> Any:
        """What the function returns.

        Raises:
            EndpointFailed: The endpoint answered with an error.
        """
        headers = {name.decode().lower(): value.decode() for name, value in response["headers"]}
        kind = headers.get("content-type", "")
        body = response["body"]
        if response["status"] >= 400:
            raise EndpointFailed(_sentence(body) or f"HTTP status {response['status']}")
        if kind.startswith("application/json"):
            return json.loads(body) if body else None
        with contextlib.suppress(UnicodeDecodeError):
            if kind.startswith("text/"):
                return body.decode()
        encoded = base64.b64encode(body).decode()
        return {"contentType": kind, "isBase64Encoded": True, "body": encoded}

    def _choose(self, event: Any) -> tuple[str, Any]:
        routes = self.routes_by_name
        if isinstance(event, dict) and event.keys() == {"api", "body"} and event["api"] in routes:
            return routes[event["api"]], event["body"]
        chosen = os.environ.get(DEFAULT) or (next(iter(routes)) if len(routes) == 1 else "")
        if chosen in routes:
            return routes[chosen], {} if event is None else event
        raise UnknownEndpoint(
            'The event is {"api": NAME, "body": {...}}, or the variable '
            f"{DEFAULT} is NAME, where NAME is one of {', '.join(routes) or 'none'}."
        )


def _sentence(body: bytes) -> str:
    """The error that an endpoint's body tells."""
    try:
        raw = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    if not isinstance(raw, dict):
        return str(raw)
    return ": ".join([str(raw.get("error", raw)), *_faults(raw.get("detail"))])


def _faults(detail: Any) -> Iterator[str]:
    """What pydantic found wrong and where, joined, if that is what an endpoint's body holds."""
    with contextlib.suppress(TypeError, KeyError, AttributeError):
        found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in detail]
        if found:
            yield "; ".join(found)
