"""Gradio's applications below a path of a service: ``bentoml.gradio``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from bentofn.runtime.errors import MissingDependencyException, UserError
from bentofn.runtime.mounts import Mount, mounting

R = TypeVar("R")


def mount_gradio_app(blocks: Any, path: str, name: str = "gradio_ui") -> Callable[[R], R]:
    """Show Gradio's blocks below a path; above or below ``@service``.

    The blocks' queue runs as many events at a time as the service takes requests.

    Args:
        blocks: The :class:`gradio.Blocks`.
        path: The path, with a leading slash.
        name: The user's name for it.

    Raises:
        MissingDependencyException: Gradio is not installed.
        UserError: The path has no leading slash.
    """
    if not path.startswith("/"):
        raise UserError(f"mount_gradio_app: the path {path!r} must start with a slash.")
    try:
        gradio = import_module("gradio")
    except ImportError:
        raise MissingDependencyException(
            "bentoml.gradio needs gradio: install it, and list it under python.packages"
        ) from None
    # Gradio's own way to be mounted, which knows what each of its versions needs.
    host = import_module("fastapi").FastAPI(openapi_url=None)
    gradio.mount_gradio_app(host, blocks, path=path.rstrip("/") or "/", show_error=True)
    return mounting(Mount(host, "/", name, partial(_running, host, blocks)))


@asynccontextmanager
async def _running(host: Any, blocks: Any, limit: int | None) -> AsyncIterator[None]:
    blocks.queue(default_concurrency_limit=limit)
    async with host.router.lifespan_context(host):
        yield
