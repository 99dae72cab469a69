"""An invocation by name: the version that a qualifier stands for, within the limits, is run."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from bentofn.adapters.local.core.invocations.concurrency import Throttle
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.lambda_.api.errors import (
    ACCOUNT_LIMIT,
    FUNCTION_RATE,
    RESERVED_LIMIT,
    RESERVED_RATE,
    LambdaError,
    function_not_found,
    throttled,
)
from bentofn.adapters.local.lambda_.api.functions import Functions
from bentofn.adapters.local.lambda_.api.names import LATEST, Name, version_number
from bentofn.adapters.local.lambda_.api.registry import Registry
from bentofn.adapters.local.lambda_.invocation import (
    Invocation,
    InvocationRefused,
    InvocationResult,
)
from bentofn.adapters.local.state import Deployment
from bentofn.adapters.local.tickets import Refused

_REASONS: dict[Throttle, str] = {
    "account": ACCOUNT_LIMIT,
    "reserved": RESERVED_LIMIT,
    "rate": FUNCTION_RATE,
    "reserved-rate": RESERVED_RATE,
}


@dataclass(frozen=True)
class Ran:
    """An invocation that was run.

    Args:
        result: What the function answered.
        version: Which version that was, ``$LATEST`` or a number.
    """

    result: InvocationResult
    version: str


class Invoker:
    """Runs functions by name.

    Args:
        functions: The platform's.
        registry: Aliases and limits.
        journal: Told of what is throttled.
        chance: Draws the versions of weighted aliases.
    """

    def __init__(
        self, functions: Functions, registry: Registry, journal: Journal, chance: random.Random
    ) -> None:
        self._journal = journal
        self._functions = functions
        self._registry = registry
        self._chance = chance
        self._calls: set[asyncio.Task[Ran]] = set()

    def knows(self, function: str) -> bool:
        """Whether there is a function of this name."""
        return self._functions.live(function) is not None

    def dead_letters(self, function: str) -> str | None:
        """The ARN that a function's given-up events go to, if it names one."""
        deployment = self._functions.live(function)
        rules = deployment.spec.settings.event_rules if deployment is not None else None
        return rules.dead_letters if rules is not None else None

    def find(self, name: Name) -> Deployment:
        """The live deployment of the function.

        Raises:
            LambdaError: There is no such function, version or alias.
        """
        deployment = self._functions.live(name.function)
        if deployment is None:
            raise function_not_found(Name(name.function, name.qualifier or LATEST).arn)
        qualifier = name.qualifier
        if qualifier is None or qualifier == LATEST:
            return deployment
        version = version_number(qualifier)
        if version is not None:
            known = version <= deployment.version
        else:
            known = self._registry.alias(name.function, qualifier) is not None
        if not known:
            raise function_not_found(name.arn)
        return deployment

    async def run(self, name: Name, invocation: Invocation, *, waited_for: bool = True) -> Ran:
        """Run a function, version or alias.

        Args:
            name: It.
            invocation: What to run it with.
            waited_for: Whether a caller waits for the answer.

        Raises:
            LambdaError: There is none of this name, it is throttled, or it cannot be started.
        """
        version = self.choose(name).qualifier or LATEST
        concurrency = self._registry.concurrency
        throttle = concurrency.begin(name.function, time.monotonic() if waited_for else None)
        if throttle is not None:
            size, told = len(invocation.event), invocation.headers
            record = Record(
                self._journal, name.function, invocation.request_id, "INVOKE", "/", size, told
            )
            record.refused(429, _REASONS[throttle])
            self._functions.throttled(name.function)
            raise throttled(_REASONS[throttle])
        number = version_number(version)
        try:
            result = await self._functions.run(name.function, number, invocation)
        except Refused as refusal:
            raise _said(refusal) from refusal
        except InvocationRefused as refusal:
            raise LambdaError(refusal.status, refusal.code, refusal.message) from refusal
        finally:
            concurrency.end(name.function)
        return Ran(result, version)

    def begin(self, name: Name, invocation: Invocation) -> asyncio.Task[Ran]:
        """Run it for a caller that waits, and to its end even if that caller goes.

        The work raises as :meth:`run` does; the invocation's stream ends with it.
        """
        task = asyncio.get_running_loop().create_task(self.run(name, invocation))
        self._calls.add(task)
        task.add_done_callback(self._over)
        if (stream := invocation.stream) is not None:
            task.add_done_callback(lambda _: stream.end())
        return task

    async def call(self, name: Name, invocation: Invocation) -> Ran:
        """As :meth:`begin`, when it is over."""
        return await asyncio.shield(self.begin(name, invocation))

    def choose(self, name: Name) -> Name:
        """The version that an invocation by this name runs; an alias may choose another each time.

        Raises:
            LambdaError: There is none.
        """
        self.find(name)
        return Name(name.function, self._version(name))

    def _over(self, task: asyncio.Task[Ran]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may not be there to see it

    def _version(self, name: Name) -> str:
        qualifier = name.qualifier or LATEST
        if qualifier == LATEST or version_number(qualifier) is not None:
            return qualifier
        alias = self._registry.alias(name.function, qualifier)
        assert alias is not None
        return alias.choose(self._chance)


def _said(refusal: Refused) -> LambdaError:
    """The platform's refusal in Lambda's words."""
    if refusal.status == 429:
        return throttled(ACCOUNT_LIMIT)
    return LambdaError(500, "ServiceException", refusal.reason)
