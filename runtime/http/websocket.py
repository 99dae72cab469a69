"""Websockets, which uvicorn speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState as TheirState

from bentofn.runtime.http.serving import ServerState


def websocket_protocol(app: Any) -> Callable[[ServerState, dict[str, Any]], Any]:
    """What makes the protocol of a connection that has become a websocket.

    Of the libraries that uvicorn knows, wsproto takes the least time to import.
    """
    config = uvicorn.Config(
        app, http=asyncio.Protocol, ws="wsproto", lifespan="off", log_config=None
    )
    config.load()

    def make(state: ServerState, app_state: dict[str, Any]) -> Any:
        theirs = TheirState()
        theirs.connections = cast(Any, state.connections)
        theirs.tasks = state.tasks
        made: Any = config.ws_protocol_class
        return made(config=config, server_state=theirs, app_state=app_state)

    return make
