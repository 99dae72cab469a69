"""A request's way to an instance: it waits for one, asks it, and hears of that one's end."""

from __future__ import annotations

import asyncio

import aiohttp

from bentofn.adapters.local.front.interruption import Interruption
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.headers import BATCH_SECONDS, BATCH_SIZE, take_batch_seconds
from bentofn.adapters.local.instance_connection import Answer
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.tickets import Assignment, Refused, Ticket
from bentofn.adapters.local.upstream import Unreachable

_ATTEMPTS = 3
"""Instances that a request is sent to when those before took no connection."""
_EXPLANATION = 3.0
"""Seconds that an answer waits for the reason for which its instance broke off."""
_BATCH_SIZE = BATCH_SIZE.lower().encode()
_BATCH_SECONDS = BATCH_SECONDS.lower().encode()


class Exchange:
    """A request for a function and what becomes of it; how it is sent is a subclass's affair.

    Args:
        function: A deployed function.
        record: The request's in the journal.
    """

    def __init__(self, function: Function, record: Record) -> None:
        self.function = function
        self.record = record

    async def transfer(self, assignment: Assignment) -> None:
        """Send the request to an instance, and its answer to the caller.

        Raises:
            Unreachable: The instance has not seen it.
            Refused: The platform answers instead.
            aiohttp.ClientError: The instance broke off.
        """
        raise NotImplementedError

    async def cut(self, assignment: Assignment, refusal: Refused) -> None:
        """End a request that its instance did not: with a status, or, too late, by breaking off."""
        raise NotImplementedError

    async def run(self) -> None:
        """Have the request answered.

        Raises:
            Refused: The platform answers instead.
        """
        for _ in range(_ATTEMPTS):
            revision = self.function.live
            if revision is None:
                raise Refused(503, self.function.trouble or "The function is being stopped.")
            ticket = revision.submit(self.record)
            cancelled = True
            try:
                assignment = await ticket.assigned
                await self._ask(revision, ticket, assignment)
                cancelled = False
                return
            except Unreachable:  # it was dead already, and has not seen the request
                revision.lost(assignment.instance)
                cancelled = False
            finally:
                revision.release(ticket, cancelled=cancelled)
        raise Refused(502, "The function's instances end before they can be asked.")

    async def _ask(self, revision: Revision, ticket: Ticket, assignment: Assignment) -> None:
        interruption = Interruption(revision, ticket)
        try:
            await self.transfer(assignment)
        except asyncio.CancelledError:
            refusal = interruption.recover()
            if refusal is None:
                raise
            await self.cut(assignment, refusal)
        except aiohttp.ClientError as error:
            interruption.close()
            # An instance that was killed is known to be dead a moment later, and of what.
            await asyncio.wait([ticket.interrupted], timeout=_EXPLANATION)
            if ticket.interrupted.done():
                refusal = ticket.interrupted.result()
            else:
                refusal = Refused(502, f"The instance broke off: {_say(error)}.")
            await self.cut(assignment, refusal)
        finally:
            interruption.close()

    def count(self, answer: Answer | None = None) -> None:
        """An instance has answered; with what, where it was in HTTP."""
        stats = self.function.stats
        stats.requests += 1
        size = answer.header(_BATCH_SIZE) if answer is not None else b""
        if answer is not None and size.isdigit():
            self.record.batch_size = int(size)
            if seconds := answer.header(_BATCH_SECONDS):
                take_batch_seconds(self.record, seconds)
            stats.largest_batch = max(stats.largest_batch, int(size))


def _say(error: Exception) -> str:
    return str(error) or type(error).__name__
