"""Calls a function through Modal's client, which needs no endpoint and no proxy token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bentofn.adapters.endpoints import choose_route
from bentofn.adapters.modal.entry import CLASS
from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.history import require_live
from bentofn.adapters.modal.live import read_record
from bentofn.adapters.modal.session import Session
from bentofn.adapters.protocol import Reply
from bentofn.runtime.errors import UserError


def invoke(session: Session, function: str, body: bytes, api: str | None) -> Reply:
    """Send a body to an endpoint.

    Args:
        session: Modal.
        function: The function.
        body: JSON.
        api: The endpoint; None for the only one.

    Raises:
        UserError: There is no such function or endpoint, or the call failed.
    """
    import modal

    what = f"Calling {function!r}"
    with explained(what, session.calls, remote=True):
        live = require_live(session, function)
        record = read_record(session, function, live)
        if record is None:
            raise UserError(
                f"Nothing is kept of what is live of function {function!r}, so that its endpoints "
                "are not known; deploy it again."
            )
        route = choose_route(function, record.routes, api)
        service: Any = modal.Cls.from_name(
            function,
            CLASS,
            client=session.client,
            environment_name=session.environment or None,
        )
        call = service().call
        if record.joined:
            whole = call.remote(route, body)
            return Reply(whole["status"], whole["headers"], iter([whole["body"]]))
        parts = call.remote_gen(route, body)
        head = next(iter(parts))
    return Reply(head["status"], head["headers"], _rest(what, session, parts))


def _rest(what: str, session: Session, parts: Iterator[Any]) -> Iterator[bytes]:
    with explained(what, session.calls, remote=True):
        yield from parts
