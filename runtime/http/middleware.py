"""The user's ASGI middleware around a service's application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from bentofn.runtime.http.exchange import ASGIApp

import_module("anyio._backends._asyncio")
# Starlette's BaseHTTPMiddleware runs on it, and the first request would wait for its import.


def wrapped(app: ASGIApp, middlewares: Sequence[tuple[type[Any], Mapping[str, Any]]]) -> ASGIApp:
    """An application inside its middleware, the first added outermost, as in BentoML.

    Args:
        app: The application.
        middlewares: Each middleware, which is called with the application, and its options.
    """
    for middleware, options in reversed(middlewares):
        app = middleware(app, **options)
    return app
