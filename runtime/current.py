"""What code may ask about the process it runs in: its service, its instance, its worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bentofn.runtime.errors import BentoMLException


@dataclass
class ServerContext:
    """The running server. Source: bentoml/_internal/context.py of BentoML 1.4

    Args:
        bento_name: Name of the bento; empty in a project.
        bento_version: Its version.
        service_type: ``entry_service``, or ``service`` for one that another depends on; None
            where nothing serves.
        service_name: Name of the service.
        worker_index: Number of this worker of the service, from 1; None where nothing serves.
        service_routes: The routes of the service's endpoints.
    """

    bento_name: str = ""
    bento_version: str = "not available"
    service_type: str | None = None
    service_name: str | None = None
    worker_index: int | None = None
    service_routes: list[str] = field(default_factory=list)

    @property
    def component_type(self) -> str | None:
        """The service's type, by its older name."""
        return self.service_type

    @property
    def component_name(self) -> str | None:
        """The service's name, by its older name."""
        return self.service_name

    @property
    def component_index(self) -> int | None:
        """The worker's index, by its older name."""
        return self.worker_index

    @property
    def yatai_bento_deployment_name(self) -> str:
        """Name of the deployment, where the environment says it."""
        return os.environ.get("YATAI_BENTO_DEPLOYMENT_NAME", "")

    @property
    def yatai_bento_deployment_namespace(self) -> str:
        """Namespace of the deployment, where the environment says it."""
        return os.environ.get("YATAI_BENTO_DEPLOYMENT_NAMESPACE", "")


server_context = ServerContext()
"""Of this process; BentoML's services read it as a global."""

_instances: list[Any] = []


def become_worker(index: int = 1) -> None:
    """Make this process a worker of a service; before the service is imported.

    Args:
        index: Its number, from 1.
    """
    server_context.worker_index = index


def serve_as(
    name: str, routes: Sequence[str], bento: tuple[str, str] | None, *, is_entry: bool = True
) -> None:
    """Say which service this process serves.

    Args:
        name: The service's name.
        routes: Its routes.
        bento: Name and version of its bento; None in a project.
        is_entry: Whether it is the one that the outside asks.
    """
    server_context.service_name = name
    server_context.service_type = "entry_service" if is_entry else "service"
    server_context.service_routes = list(routes)
    if bento is not None:
        server_context.bento_name, server_context.bento_version = bento


def set_current_service(instance: Any) -> None:
    """Make an instance the one that :func:`get_current_service` gives."""
    _instances[:] = [instance]


def get_current_service() -> Any:
    """The service's instance of this process.

    Raises:
        BentoMLException: There is none yet.
    """
    if not _instances:
        raise BentoMLException("service isn't instantiated yet")
    return _instances[0]


def service_config() -> Mapping[str, Any]:
    """The configuration of the service of this process; empty where there is none."""
    service = getattr(_instances[0], "bento_service", None) if _instances else None
    return service.config if service is not None else {}


@contextmanager
def importing() -> Iterator[None]:
    """Import what only a running service needs: ``with bentoml.importing(): import torch``.

    Where nothing serves, in a build for instance, a module that is missing is passed over.
    """
    try:
        yield
    except ImportError:
        if server_context.worker_index is not None:
            raise
