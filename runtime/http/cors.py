"""Cross-origin requests, as ``http.cors`` of a service's configuration allows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentofn.runtime.http.exchange import ASGIApp


def with_cors(app: ASGIApp, config: Mapping[str, Any]) -> ASGIApp:
    """An application that answers other origins as configured; the same one when not enabled.

    Args:
        app: The application.
        config: BentoML's ``http.cors``: ``enabled`` and ``access_control_*``.
    """
    if not config.get("enabled", False):
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=_strings(config, "access_control_allow_origins"),
        allow_methods=_strings(config, "access_control_allow_methods") or ("GET", "POST"),
        allow_headers=_strings(config, "access_control_allow_headers"),
        allow_credentials=config.get("access_control_allow_credentials", False),
        allow_origin_regex=config.get("access_control_allow_origin_regex"),
        expose_headers=_strings(config, "access_control_expose_headers"),
        max_age=config.get("access_control_max_age", 600),
    )


def _strings(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = config.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)
