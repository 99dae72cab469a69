"""The user's ASGI middleware around a service's application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bentofn.runtime.http.exchange import ASGIApp


def wrapped(app: ASGIApp, middlewares: Sequence[tuple[type[Any], Mapping[str, Any]]]) -> ASGIApp:
    """An application inside its middleware, the first added outermost, as in BentoML.

    Args:
        app: The application.
        middlewares: Each middleware, which is called with the application, and its options.
    """
    for middleware, options in reversed(middlewares):
        app = middleware(app, **options)
    return app
