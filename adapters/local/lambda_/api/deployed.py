"""The platform's functions as Lambda's API needs them, with versions that are not live any more."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.clock import Clock
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.lambda_.account import account_concurrency
from bentofn.adapters.local.lambda_.api.credentials import load_credentials
from bentofn.adapters.local.lambda_.api.face import PROFILE, LambdaFace
from bentofn.adapters.local.lambda_.invocation import (
    Environment,
    Invocation,
    InvocationRefused,
    InvocationResult,
)
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.secrets import with_values
from bentofn.adapters.local.state import Deployment, State
from bentofn.adapters.local.tickets import Refused, Ticket
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


class DeployedFunctions:
    """See :class:`bentofn.adapters.local.lambda_.api.functions.Functions`.

    Args:
        functions: The platform's, by name.
        state: All their deployments.
        resolve: Finds the bento of a deployment.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        state: State,
        resolve: Callable[[FunctionSpec], Awaitable[LocalBento]],
    ) -> None:
        self._functions = functions
        self._state = state
        self._resolve = resolve

    def names(self) -> Sequence[str]:
        """See Functions."""
        return sorted(name for name in self._functions if self.live(name) is not None)

    def live(self, name: str) -> Deployment | None:
        """See Functions."""
        function = self._functions.get(name)
        deployment = function.deployment if function is not None else None
        return deployment if deployment and deployment.spec.settings.profile == PROFILE else None

    async def versions(self, name: str) -> Sequence[Deployment]:
        """See Functions."""
        return await asyncio.to_thread(self._state.versions, name)

    def throttled(self, name: str) -> None:
        """See Functions."""
        self._functions[name].stats.refused += 1

    async def run(self, name: str, version: int | None, invocation: Invocation) -> InvocationResult:
        """See Functions."""
        function = self._functions[name]
        revision = await self._revision(function, version)
        request = revision.record(
            invocation.request_id, "INVOKE", "/", len(invocation.event), invocation.headers
        )
        try:
            result = await self._ask(revision, request, invocation)
        except (Refused, InvocationRefused) as refusal:
            request.refused(refusal.status, str(refusal))
            raise
        else:
            function.stats.requests += 1
            written = invocation.stream.size if invocation.stream is not None else 0
            request.size = written + len(result.payload)
            request.answered(200 if result.function_error is None else 502)
            return result
        finally:
            request.close()

    async def _ask(
        self, revision: Revision, request: Record, invocation: Invocation
    ) -> InvocationResult:
        """Have an environment run it."""
        ticket = revision.submit(request)
        billed: float | None = None
        try:
            assignment = await ticket.assigned
            if assignment.environment is None:
                raise Refused(502, "The function's instances are no environments of Lambda's.")
            deadline = time.time() + revision.spec.settings.timeout
            invocation = dataclasses.replace(invocation, deadline=deadline)
            result = await _run(assignment.environment, ticket, invocation)
            billed = result.billed_ms / 1000
        finally:
            revision.release(ticket, cancelled=billed is None, billed=billed)
        return result

    async def _revision(self, function: Function, version: int | None) -> Revision:
        live = function.live
        if live is None:
            raise Refused(503, function.trouble or "The function is being stopped.")
        if version is None or version == live.version:
            return live
        number = version
        return await function.former(number, lambda: self._make(function, number))

    async def _make(self, function: Function, version: int) -> Revision:
        found = [each for each in await self.versions(function.name) if each.version == version]
        if not found:
            raise Refused(503, f"Version {version} of {function.name} is not there any more.")
        try:
            bento = await self._resolve(found[0].spec)
            if function.live is None:
                raise Refused(503, "The function is being stopped.")
            return function.revision(with_values(found[0].spec, function.secrets), bento, version)
        except (UserError, OSError) as error:
            why = str(error).rstrip(".")
            raise Refused(
                503, f"Version {version} of {function.name} cannot be started: {why}."
            ) from error


async def _run(
    environment: Environment, ticket: Ticket, invocation: Invocation
) -> InvocationResult:
    """Run an invocation, for as long as its environment is there."""
    work = asyncio.ensure_future(environment.invoke(invocation))
    waiting: set[asyncio.Future[InvocationResult] | asyncio.Future[Refused]]
    waiting = {work, ticket.interrupted}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ticket.interrupted.result()
        return work.result()
    finally:
        work.cancel()


def local_face(
    home: Home,
    functions: DeployedFunctions,
    clock: Clock,
    journal: Journal,
    address: str,
) -> LambdaFace:
    """What the callers of a platform's Lambda functions see.

    Args:
        home: Whose functions.
        functions: They.
        clock: The platform's time.
        journal: Told what becomes of events.
        address: Where the platform answers, without a slash at the end.

    Raises:
        UserError: What is kept in the home is damaged, or the account's concurrency is none.
        OSError: The home cannot be written.
    """
    keys = load_credentials(home)
    secrets = {keys.access_key: keys.secret}
    concurrency = account_concurrency(os.environ)
    return LambdaFace(functions, clock, journal, home.invocations, address, secrets, concurrency)
