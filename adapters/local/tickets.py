"""A request's place with a version of a function, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bentofn.adapters.local.core.overflow import OverflowRules
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.lambda_.invocation import Environment
from bentofn.adapters.local.upstream import Upstream


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The platform answers a request itself.

    Args:
        status: HTTP status.
        reason: One sentence.
        overflow: By which rule, where there was no room for the request: the backend has an
            answer of its own then.
    """

    def __init__(self, status: int, reason: str, overflow: OverflowRules | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.overflow = overflow


@dataclass(frozen=True)
class Assignment:
    """The instance that answers a request.

    Args:
        instance: Its name.
        start: ``cold``, ``restored`` or ``warm``.
        upstream: How to reach it.
        environment: What to do so with where it is one of Lambda's, which serve no HTTP.
    """

    instance: str
    start: str
    upstream: Upstream
    environment: Environment | None = None


class Ticket:
    """A request's place with a revision.

    ``assigned`` becomes its instance, or raises Refused. After that ``interrupted`` becomes the
    refusal if the instance ends under it.

    Args:
        number: Names it in the pool.
        record: Told when it waits and who gets it.
    """

    def __init__(self, number: int, record: Record | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.record = record
        self.assigned: asyncio.Future[Assignment] = loop.create_future()
        self.interrupted: asyncio.Future[Refused] = loop.create_future()
