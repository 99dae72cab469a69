"""``bentoml.depends``: a service that another service calls."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from bentofn.runtime.errors import BentoMLConfigException, UserError
from bentofn.runtime.members import declared_members

if TYPE_CHECKING:
    from bentofn.runtime.proxy.base import Proxy
    from bentofn.runtime.service import Service

T = TypeVar("T")


class Dependency(Generic[T]):
    """A class attribute that stands for another service.

    Read from an instance it is the service, in the same process or in another; read from the class
    it is this declaration.

    Args:
        on: The service.
        url: Where it answers, if it is deployed by itself.

    Raises:
        ValueError: Neither is given.
    """

    deployment = cluster = None

    def __init__(self, on: Service[T] | None = None, url: str | None = None) -> None:
        if on is None and not url:
            raise ValueError("Must specify at least one of on, deployment or url")
        self.on = on
        self.url = url or None
        self._proxy: Proxy | None = None

    @overload
    def __get__(self, instance: None, owner: type) -> Dependency[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Dependency[T] | T:
        return self if instance is None else self.get()

    def get(self) -> Any:
        """The service, as it is called; nothing is connected before its first call."""
        if self._proxy is None:
            from bentofn.runtime.proxy import connect

            self._proxy = connect(self.on, self.url)
        return self._proxy

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"A dependency has no {name!r} by itself: it is read from an instance of the service "
            "that declares it, as self.<name>."
        )


def depends(
    on: Service[T] | None = None,
    *,
    url: str | None = None,
    deployment: str | None = None,
    cluster: str | None = None,
) -> Dependency[T]:
    """Declare that a service calls another one.

    Args:
        on: The service, a class decorated with ``@bentoml.service``; it becomes part of the bento.
        url: Where it answers, if it is deployed by itself; ``on`` then says its types.
        deployment: A deployment of BentoCloud, which is not asked: ``on`` or ``url`` is.
        cluster: Where that is.

    Raises:
        TypeError: ``on`` is no service.
        ValueError: Neither ``on`` nor ``url`` is given.
        UserError: Nothing but a deployment of BentoCloud is named.
    """
    from bentofn.runtime.service import Service

    if on is not None and not isinstance(on, Service):
        raise TypeError("depends() expects a class decorated with @bentoml.service()")
    if deployment is not None or cluster is not None:
        if on is None and not url:
            raise UserError(
                "bentoml.depends: deployment= and cluster= name BentoCloud's deployments; give the "
                "service's address as url=."
            )
        warnings.warn(
            "bentoml.depends: deployment= and cluster= name BentoCloud's deployments, which are "
            f"not asked; {'url=' if url else 'on='} is.",
            stacklevel=2,
        )
    return Dependency(on, url)


def find_dependencies(cls: type) -> dict[str, Dependency[Any]]:
    """The dependencies that a class declares, by attribute, inherited ones included."""
    members = declared_members(cls).items()
    return {name: member for name, member in members if isinstance(member, Dependency)}


def all_services(service: Service[Any], *, exclude_urls: bool = False) -> dict[str, Service[Any]]:
    """A service and all that it depends on, directly or not, by name; itself first.

    Args:
        service: The service.
        exclude_urls: Whether to leave out those that are deployed by themselves.

    Raises:
        BentoMLConfigException: Two services have one name.
    """
    found = {service.name: service}
    for dependency in service.dependencies.values():
        if dependency.on is None or (exclude_urls and dependency.url):
            continue
        for name, each in all_services(dependency.on, exclude_urls=exclude_urls).items():
            if found.setdefault(name, each) is not each:
                raise BentoMLConfigException(
                    f"Dependency conflict: {name} is already defined by {found[name].inner}"
                )
    return found


def in_process(service: Service[Any]) -> list[object]:
    """The instances of what a service depends on that are in this process, dependencies first."""
    others = [each for each in all_services(service).values() if each is not service]
    return [each.shared.instance for each in reversed(others) if each.shared is not None]
