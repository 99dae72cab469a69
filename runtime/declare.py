"""``@bentofn.service``: declares a class as a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from bentofn.runtime.errors import UserError
from bentofn.runtime.service import Service

T = TypeVar("T")


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
    cmd: Sequence[str] | None = ...,
    service_class: type[Service[Any]] = ...,
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
    cmd: Sequence[str] | None = None,
    service_class: type[Service[Any]] = Service,
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
        cmd: The command of a server that answers in the service's place.
        service_class: What to make; a subclass of :class:`Service`.
        **config: BentoML's service configuration: ``traffic``, ``resources``, ``workers``,
            ``threads``...

    Raises:
        TypeError: The class is a service already.
        UserError: It is no class, or a value of the configuration cannot be used.
    """

    def declare(cls: type[T]) -> Service[T]:
        if isinstance(cls, Service):
            raise TypeError("service() decorator can only be applied once")
        if not isinstance(cls, type):
            raise UserError(f"@bentofn.service is for classes, not for {cls!r}.")
        return service_class(
            name=name or cls.__name__,
            config=config,
            inner=cls,
            image=image,
            description=description,
            path_prefix=path_prefix,
            envs=envs,
            labels=labels,
            cmd=cmd,
        )

    return declare if inner is None else declare(inner)
