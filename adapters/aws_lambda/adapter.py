"""The target ``aws-lambda``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bentofn.adapters.aws_lambda.capabilities import CAPABILITIES
from bentofn.adapters.capabilities import Capabilities
from bentofn.adapters.load import Load
from bentofn.adapters.plan import Plan
from bentofn.adapters.protocol import (
    Deployed,
    FunctionSpec,
    FunctionStatus,
    LogLine,
    Progress,
    Reply,
    Version,
)
from bentofn.packager.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable

    import botocore.session

    from bentofn.adapters.aws_lambda.names import Names
    from bentofn.adapters.aws_lambda.session import Session


class AwsLambdaAdapter:
    """Deploys to the account and region that boto3's chain of credentials leads to.

    Args:
        home: Whose bentos.
        chain: Where credentials, region and addresses come from; None for boto3's usual chain.
        wait: Waits so many seconds.
        is_parallel: Whether reads that need nothing of each other are made at once.
    """

    name = "aws-lambda"

    def __init__(
        self,
        home: Home,
        chain: botocore.session.Session | None = None,
        wait: Callable[[float], None] = time.sleep,
        *,
        is_parallel: bool = True,
    ) -> None:
        self._home = home
        self._chain = chain
        self._wait = wait
        self._is_parallel = is_parallel

    @property
    def capabilities(self) -> Capabilities:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        return CAPABILITIES

    def check_installed(self) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.session import check_boto

        check_boto()

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.planning import make_plan

        return make_plan(self._open, self._home, spec, load)

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.apply import apply
        from bentofn.adapters.aws_lambda.planning import intend
        from bentofn.packager.store import Store

        with Store(self._home).using():
            return apply(intend(self._open, self._home, spec, progress), progress, wait=wait)

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.status import read_status

        return read_status(self._open(), self._home, name)

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.invoke import invoke

        return invoke(*self._find(name), body, api)

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
        from bentofn.adapters.aws_lambda.logs import read_logs

        return read_logs(*self._find(name), follow=follow, since=since, tail=tail, request=request)

    def versions(self, name: str) -> list[Version]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.versions import list_versions

        return list_versions(*self._find(name))

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.versions import rollback

        return rollback(*self._find(name), version, progress)

    def promote(self, name: str, version: int, weight: float, progress: Progress) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.versions import promote

        return promote(*self._find(name), version, weight, progress)

    def destroy(self, name: str) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        from bentofn.adapters.aws_lambda.destroy import destroy

        destroy(*self._find(name))

    def _open(self, region: str | None = None) -> Session:
        from bentofn.adapters.aws_lambda.session import Session

        return Session(self._chain, region, self._wait, is_parallel=self._is_parallel)

    def _find(self, name: str) -> tuple[Session, Names]:
        from bentofn.adapters.aws_lambda.find import find

        session = self._open()
        return session, find(session, name)
