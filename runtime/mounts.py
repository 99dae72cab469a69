"""ASGI applications that a service answers with beside its endpoints, as they are declared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

R = TypeVar("R")

_DECLARED = "__bentofn_mounts__"


@dataclass(frozen=True)
class Mount:
    """An application under a path of a service.

    Args:
        app: The ASGI application.
        path: The path that it answers below, with a leading slash.
        name: The user's name for it.
        lifespan: Entered once the instance is there and left before it ends, in place of the
            application's own; it gets the number of requests that may run at a time, or None.
    """

    app: Any
    path: str
    name: str | None = None
    lifespan: Callable[[int | None], AbstractAsyncContextManager[Any]] | None = None


def asgi_app(app: Any, *, path: str = "/", name: str | None = None) -> Callable[[R], R]:
    """Answer with an ASGI application below a path; above or below ``@service``.

    The methods of the class that are endpoints of a FastAPI application get the service's instance
    as their first argument.

    Args:
        app: The application.
        path: The path that it answers below.
        name: The user's name for it.
    """
    return mounting(Mount(app, path, name))


def mount_asgi_app(app: Any, *, path: str = "/", name: str | None = None) -> Callable[[R], R]:
    """As :func:`asgi_app`, by its older name."""
    return asgi_app(app, path=path, name=name)


def mounting(mount: Mount) -> Callable[[R], R]:
    """A decorator of a service, or of the class that becomes one, that adds a mount to it."""

    def declare(target: Any) -> Any:
        from bentofn.runtime.service import Service

        if isinstance(target, Service):
            target.add_mount(mount)
        else:
            setattr(target, _DECLARED, [*declared_mounts(target), mount])
            bind_views(target, mount.app)
        return target

    return declare


def declared_mounts(cls: object) -> list[Mount]:
    """The mounts that a class was decorated with, the first applied first."""
    mounts: list[Mount] = getattr(cls, _DECLARED, [])
    return mounts


def bind_views(cls: object, app: Any) -> None:
    """Give the service's instance to the methods of a class that a FastAPI application calls."""
    if _is(app, "fastapi", "FastAPI"):
        from bentofn.runtime.class_views import class_views

        class_views(app, cls)


def mounted_paths(mounts: Iterable[Mount]) -> Iterator[str]:
    """The paths that mounted applications of Starlette have routes for, as declared so far."""
    for mount in mounts:
        yield from _paths(mount.app, mount.path.rstrip("/"))


def _paths(app: Any, prefix: str) -> Iterator[str]:
    for route in app.routes if _is(app, "starlette.applications", "Starlette") else ():
        path = getattr(route, "path", None)
        if isinstance(path, str):
            yield prefix + path
            yield from _paths(getattr(route, "app", None), prefix + path)


def _is(app: Any, module: str, name: str) -> bool:
    """Whether an application is of a class whose module is not imported to find out."""
    imported = sys.modules.get(module)
    return imported is not None and isinstance(app, getattr(imported, name))
