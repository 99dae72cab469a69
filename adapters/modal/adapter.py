"""The target ``modal``."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.capabilities import Capabilities
from bentofn.adapters.load import Load
from bentofn.adapters.modal import rules
from bentofn.adapters.modal.bento import find_bento
from bentofn.adapters.modal.capabilities import CAPABILITIES
from bentofn.adapters.plan import Plan, check
from bentofn.adapters.protocol import (
    Deployed,
    FunctionSpec,
    FunctionStatus,
    LogLine,
    Progress,
    Reply,
    Version,
)
from bentofn.adapters.versions import refused_share
from bentofn.packager.home import Home


class ModalAdapter:
    """Deploys to Modal, in the workspace and environment that Modal's own configuration names.

    Args:
        home: Whose bentos.
    """

    name = "modal"

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def capabilities(self) -> Capabilities:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        return CAPABILITIES

    def check_installed(self) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.versions import check_client

        check_client()

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.plan import make_plan

        return make_plan(spec, find_bento(self._home, spec.bento), load)

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.apply import apply
        from bentofn.adapters.modal.desired import desire
        from bentofn.adapters.modal.session import Session

        bento = find_bento(self._home, spec.bento)
        check(self.name, spec.name, rules.problems_of(spec, bento))
        return apply(self._home, Session(), desire(spec, bento), progress)

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.session import Session
        from bentofn.adapters.modal.status import read_status

        return read_status(Session(), name)

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.invoke import invoke
        from bentofn.adapters.modal.session import Session

        return invoke(Session(), name, body, api)

    def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        since: float = 0.0,
        tail: int | None = None,
        request: str = "",
    ) -> Iterator[LogLine]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.logs import read_logs
        from bentofn.adapters.modal.session import Session

        return read_logs(Session(), name, follow=follow, since=since, tail=tail, request=request)

    def versions(self, name: str) -> list[Version]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.history import versions
        from bentofn.adapters.modal.session import Session

        return versions(Session(), name)

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.history import rollback
        from bentofn.adapters.modal.session import Session

        return rollback(Session(), name, version, progress)

    def promote(self, name: str, version: int, weight: float, progress: Progress) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        if weight < 1:
            raise refused_share(CAPABILITIES, name)
        return self.rollback(name, version, progress)

    def destroy(self, name: str) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.modal.history import destroy
        from bentofn.adapters.modal.session import Session

        destroy(Session(), name)
