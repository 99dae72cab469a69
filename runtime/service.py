"""``@bentofn.service``: turns a class into a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from bentofn.runtime.api import APIMethod, find_apis
from bentofn.runtime.config import EnvVar, ServiceConfig, check_config, check_envs
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import check_hooks
from bentofn.runtime.members import declared_members
from bentofn.runtime.models import ModelDescriptor

if TYPE_CHECKING:
    from bentofn.runtime.http.app import ServiceApp

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Service(Generic[T]):
    """A class declared as a service. Calling it makes a local instance of the class.

    Args:
        name: The service's name; by default the class's.
        inner: The class.
        config: Its BentoML configuration, as given.
        apis: Its endpoints by method name, inherited ones included.
        envs: Environment variables that it needs.
        labels: The user's labels.
        description: The user's text.
        path_prefix: Path put before every route, without a trailing slash.
        image: What the user says about the image to build.
        import_string: ``module:Class``.
    """

    name: str
    inner: type[T]
    config: ServiceConfig
    apis: dict[str, APIMethod]
    envs: tuple[EnvVar, ...] = ()
    labels: Mapping[str, str] | None = None
    description: str = ""
    path_prefix: str = ""
    image: Any = None
    import_string: str = ""

    def __call__(self) -> T:
        """Make a local instance."""
        return self.inner()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        """Let a class inherit from a service, as it would from the service's class."""
        return (self.inner,)

    @property
    def models(self) -> list[ModelDescriptor]:
        """The models declared as class attributes."""
        members = declared_members(self.inner).values()
        return [member for member in members if isinstance(member, ModelDescriptor)]

    def to_asgi(self) -> ServiceApp:
        """An ASGI application around a new instance.

        Raises:
            UserError: An endpoint's annotation cannot be served.
        """
        from bentofn.runtime.http.app import ServiceApp

        return ServiceApp(self, self())


@overload
def service(inner: type[T], /) -> Service[T]: ...


@overload
def service(
    *,
    name: str | None = ...,
    description: str | None = ...,
    path_prefix: str | None = ...,
    envs: Iterable[Mapping[str, Any]] | None = ...,
    labels: Mapping[str, str] | None = ...,
    image: Any = ...,
    cmd: Any = ...,
    **config: Any,
) -> Callable[[type[T]], Service[T]]: ...


def service(
    inner: type[T] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    path_prefix: str | None = None,
    envs: Iterable[Mapping[str, Any]] | None = None,
    labels: Mapping[str, str] | None = None,
    image: Any = None,
    cmd: Any = None,
    **config: Any,
) -> Service[T] | Callable[[type[T]], Service[T]]:
    """Declare a class as a service.

    Args:
        inner: The class, when the decorator is used bare.
        name: The service's name; by default the class's.
        description: A text about it.
        path_prefix: Path put before every route.
        envs: Environment variables, as ``{"name", "value", "stage": "all"|"build"|"runtime"}``.
        labels: Labels of the bento.
        image: What the image to build looks like.
        cmd: Not supported yet: the command of a service that is not Python.
        **config: BentoML's service configuration: ``traffic``, ``resources``, ``workers``,
            ``threads``...

    Raises:
        UserError: A configuration key is unknown or a value cannot be used.
    """
    if cmd is not None:
        raise UserError(
            "@bentofn.service(cmd=...) is not supported yet: declare the endpoints with "
            "@bentofn.api."
        )

    def declare(cls: type[T]) -> Service[T]:
        if not isinstance(cls, type):
            raise UserError(f"@bentofn.service is for classes, not for {cls!r}.")
        check_hooks(cls)
        prefix = (path_prefix or "").strip("/")
        return Service(
            name=name or cls.__name__,
            inner=cls,
            config=check_config(cls.__name__, config),
            apis=find_apis(cls),
            envs=check_envs(cls.__name__, envs),
            labels=dict(labels or {}),
            description=description or "",
            path_prefix=f"/{prefix}" if prefix else "",
            image=image,
            import_string=f"{cls.__module__}:{cls.__qualname__}",
        )

    return declare if inner is None else declare(inner)
