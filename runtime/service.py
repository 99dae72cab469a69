"""A service: a class, its configuration, and all that is declared in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from bentofn.runtime.api import APIMethod, find_apis
from bentofn.runtime.config import EnvVar, ServiceConfig, check_config, check_envs
from bentofn.runtime.context import ServiceContext
from bentofn.runtime.dependency import Dependency, all_services, find_dependencies
from bentofn.runtime.errors import BentoMLException, UserError
from bentofn.runtime.hooks import check_hooks
from bentofn.runtime.models import ModelDescriptor, find_models
from bentofn.runtime.mounts import Mount, bind_views, declared_mounts
from bentofn.runtime.origin import declaring_frame, import_string
from bentofn.runtime.own_calls import OwnCalls
from bentofn.runtime.surface import absent

if TYPE_CHECKING:
    from bentofn.runtime.http.app import ServiceApp
    from bentofn.runtime.http.openapi import OpenAPIDocument
    from bentofn.runtime.proxy.local import LocalTransport

T = TypeVar("T")


class _Nothing:
    """The class of a service that is nothing but a command or mounted applications."""


class Service(Generic[T]):
    """A class declared as a service. Calling it makes a local instance of the class.

    Its attributes may be changed until it serves, as code written for BentoML does.

    Args:
        name: The service's name.
        config: Its BentoML configuration.
        inner: The class.
        image: What the user says about the image to build.
        description: The user's text.
        path_prefix: Path put before every route.
        envs: Environment variables that it needs.
        labels: The user's labels.
        models: Models that it uses beside those declared as class attributes.
        cmd: The command of a server that answers in the service's place.
        apis: Endpoints by method name beside those that the class declares.
        runners: Of BentoML's old services; refused.

    Raises:
        UserError: A value of the configuration cannot be used, or there are runners.
    """

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,
        inner: type[T] | None = None,
        image: Any = None,
        description: str | None = None,
        path_prefix: str | None = None,
        envs: Iterable[Mapping[str, Any]] | None = None,
        labels: Mapping[str, str] | None = None,
        models: Iterable[ModelDescriptor] = (),
        cmd: Sequence[str] | None = None,
        apis: Mapping[str, APIMethod] | None = None,
        runners: object = None,
    ) -> None:
        if runners is not None:
            raise UserError(
                "bentoml.Service(runners=...) is of BentoML's old services, which bentofn does not "
                "run: decorate a class with @bentoml.service, and name others with bentoml.depends."
            )
        cls: Any = _Nothing if inner is None else inner
        check_hooks(cls)
        prefix = (path_prefix or "").strip("/")
        self.name = name
        self.inner: type[T] = cls
        self.config: ServiceConfig = check_config(name, config or {})
        self.image = image
        self.description = description or ""
        self.path_prefix = f"/{prefix}" if prefix else ""
        self.envs: list[EnvVar] = check_envs(name, envs)
        self.labels: dict[str, str] = dict(labels or {})
        self.models: list[ModelDescriptor] = [*models, *find_models(cls)]
        self.cmd = list(cmd) if cmd is not None else None
        if prefix and not self.has_custom_command():  # BentoML's clients look there
            own = self.config.get("endpoints", {})
            health = {name: f"/{prefix}/{name}" for name in ("livez", "readyz")}
            self.config["endpoints"] = {**health, **own}
        self.apis: dict[str, APIMethod] = {**(apis or {}), **find_apis(cls)}
        self.dependencies: dict[str, Dependency[Any]] = find_dependencies(cls)
        self.shared: LocalTransport | None = None
        if any(method.is_task for method in self.apis.values()):
            # As BentoML: a queue in front of the service gives it so many calls at a time.
            queued = {"concurrency": 1, **self.config.get("traffic", {}), "external_queue": True}
            self.config["traffic"] = queued
        self.mounts: list[Mount] = [self._prefixed(each) for each in declared_mounts(cls)]
        self.middlewares: list[tuple[type[Any], dict[str, Any]]] = []
        self.context = ServiceContext()
        self.working_dir = os.getcwd()  # noqa: PTH109 - pathlib's import costs a cold start
        self.declared_in = str(declaring_frame().f_globals.get("__name__"))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(absent(f"bentoml.Service.{name}"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r}>"

    def __call__(self) -> T:
        """Make a local instance.

        It knows its service as ``bento_service``, and its endpoints as ``to_async`` and ``to_sync``
        too, unless its class allows no further attributes.
        """
        instance = self.inner()
        given = {
            "bento_service": self,
            "to_async": OwnCalls(instance, self.apis.keys(), is_async=True),
            "to_sync": OwnCalls(instance, self.apis.keys(), is_async=False),
        }
        for name, value in given.items():
            with suppress(AttributeError):
                object.__setattr__(instance, name, value)
        return instance

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        """Let a class inherit from a service, as it would from the service's class."""
        return (self.inner,)

    @property
    def import_string(self) -> str:
        """As :func:`import_string`."""
        return import_string(self)

    @property
    def mount_apps(self) -> list[tuple[Any, str, str | None]]:
        """Each mounted application, its path and its name."""
        return [(mount.app, mount.path, mount.name) for mount in self.mounts]

    @property
    def doc(self) -> str:
        """What the user says about the service."""
        import inspect

        return self.description or inspect.cleandoc(self.inner.__doc__ or "")

    def has_custom_command(self) -> bool:
        """Whether a server of the user's own answers."""
        return self.cmd is not None or hasattr(self.inner, "__command__")

    def all_services(self, exclude_urls: bool = False) -> dict[str, Service[Any]]:
        """As :func:`bentofn.runtime.dependency.all_services`."""
        return all_services(self, exclude_urls=exclude_urls)

    def find_dependent_by_name(self, name: str) -> Service[Any]:
        """A service that this one depends on, directly or not.

        Raises:
            BentoMLException: There is none of this name.
        """
        try:
            return self.all_services()[name]
        except KeyError:
            raise BentoMLException(f"Service {name} not found") from None

    def find_dependent_by_path(self, path: str) -> Service[Any]:
        """A service that this one depends on, by the names of the attributes that lead to it.

        Args:
            path: Such as ``pipeline.model``; also a service's name.

        Raises:
            BentoMLException: There is none.
        """
        attribute, _, rest = path.partition(".")
        if attribute not in self.dependencies:
            return self.find_dependent_by_name(attribute)
        found = self.dependencies[attribute].on
        if found is None:
            raise BentoMLException(f"Service {attribute} not found")
        return found.find_dependent_by_path(rest) if rest else found

    async def get_hosts(self) -> list[str]:
        """Where the service's workers answer the bento's other services, an address for each.

        They are AF_UNIX sockets, for which BentoML has the address ``127.0.0.1:3000``.

        Raises:
            BentoMLException: It has no processes of its own.
        """
        from bentofn.runtime.supervisor.machine import hosts_of

        return hosts_of(self)

    def mount_asgi_app(self, app: Any, path: str = "/", name: str | None = None) -> None:
        """Answer with an ASGI application below a path, as :func:`mounts.asgi_app` does."""
        self.add_mount(Mount(app, path, name))

    def mount_wsgi_app(self, app: Any, path: str = "/", name: str | None = None) -> None:
        """Answer with a WSGI application below a path, which as in BentoML has no prefix.

        Raises:
            UserError: a2wsgi is missing.
        """
        try:
            from a2wsgi import WSGIMiddleware
        except ImportError:
            raise UserError(
                f"{self.name} mounts a WSGI application, which needs a2wsgi: install it, and list "
                "it under python.packages."
            ) from None
        self.mounts.append(Mount(WSGIMiddleware(app), f"/{path.strip('/')}", name))

    def add_mount(self, mount: Mount) -> None:
        """Answer with a mounted application below its path and the service's prefix."""
        self.mounts.append(self._prefixed(mount))
        bind_views(self.inner, mount.app)

    def _prefixed(self, mount: Mount) -> Mount:
        return replace(mount, path=f"{self.path_prefix}/{mount.path.strip('/')}")

    def add_asgi_middleware(self, middleware: type[Any], **options: Any) -> None:
        """Wrap everything that answers; the middleware is called with the application first."""
        self.middlewares.append((middleware, options))

    def to_asgi(self, is_main: bool = True) -> ServiceApp:
        """An ASGI application around a new instance.

        Args:
            is_main: Accepted for BentoML's sake.

        Raises:
            UserError: An endpoint's annotation cannot be served.
        """
        from bentofn.runtime.current import set_current_service
        from bentofn.runtime.http.app import ServiceApp

        instance = self()
        set_current_service(instance)
        return ServiceApp(self, instance)

    def serve_http(self, *, host: str | None = None, port: int | None = None, **_: Any) -> None:
        """Serve in this process until Ctrl-C or SIGTERM, for ``python service.py``.

        Args:
            host: As of ``bentofn serve``.
            port: As of ``bentofn serve``.
            **_: BentoML's other arguments, which have no effect here.

        Raises:
            UserError: It does not start, or the port cannot be bound.
        """
        from bentofn.runtime.server import serve_service

        serve_service(self, host, port)

    def schema(self) -> dict[str, Any]:
        """What ``/schema.json`` tells.

        Raises:
            UserError: An endpoint's annotation cannot be served.
        """
        from bentofn.runtime.http.openapi import schema_document
        from bentofn.runtime.io.spec import build_spec

        return schema_document(self, [build_spec(method) for method in self.apis.values()])

    @property
    def openapi_spec(self) -> OpenAPIDocument:
        """What ``/docs.json`` tells.

        Raises:
            UserError: An endpoint's annotation cannot be served.
        """
        from bentofn.runtime.http.openapi import openapi_document
        from bentofn.runtime.http.pages import running_version
        from bentofn.runtime.io.spec import build_spec

        specs = [build_spec(method) for method in self.apis.values()]
        return openapi_document(self, specs, running_version())
