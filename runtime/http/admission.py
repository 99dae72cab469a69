"""How many requests an instance answers at a time, for how long, and what becomes of errors."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import ValidationError

from bentofn.runtime.batching import BatchTimeout
from bentofn.runtime.context import EXAMPLE
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.errors import (
    NOT_READY,
    TOO_MANY_REQUESTS,
    WrongResultError,
    faults,
    reply_to,
    timed_out,
)
from bentofn.runtime.http.exchange import (
    CLIENT_CLOSED_REQUEST,
    ClientLeftError,
    Exchange,
    Reply,
)
from bentofn.runtime.http.interrupt import DeadlineExceededError, Deadlines
from bentofn.runtime.http.metrics import Metrics

logger = logging.getLogger("bentofn.server")

DEFAULT_TIMEOUT = 60.0
"""Seconds; BentoML's default of ``traffic.timeout``."""


@dataclass(frozen=True)
class Counted:
    """What answers requests that are let in.

    Args:
        answer: Answers one.
        route: The path that they are counted under.
        location: What answers, for the log.
    """

    answer: Callable[[Exchange], Awaitable[None]]
    route: str
    location: str


class Admission:
    """Lets requests in, counts them, and turns what they raise into responses.

    Args:
        traffic: The ``traffic`` section of the service's configuration.
    """

    def __init__(self, traffic: Mapping[str, Any]) -> None:
        self.limit: int | None = traffic.get("max_concurrency")
        self.metrics: Metrics | None = None
        """The instance's metrics; None while it answers nothing."""
        self._timeout: float = traffic.get("timeout", DEFAULT_TIMEOUT)
        self._deadlines = Deadlines(self._timeout)
        self._most: float = math.inf if self.limit is None else self.limit
        self._running = 0

    def close(self) -> None:
        """Let nobody in; another loop may begin with it anew."""
        self.metrics = None
        self._deadlines.close()

    async def answer(self, exchange: Exchange, target: Counted) -> None:
        """Have a request answered, if it may be."""
        metrics = self.metrics
        if metrics is None:
            await exchange.reply(NOT_READY)
            return
        if self._running >= self._most:
            await exchange.reply(TOO_MANY_REQUESTS)
            return
        began = time.perf_counter()
        self._running += 1
        metrics.began(target.route)
        reply: Reply | None = None
        try:
            try:
                with self._deadlines.begin() as deadline:
                    exchange.on_start = deadline.lift
                    if EXAMPLE in exchange.scope.get("extensions", ()):
                        deadline.lift()  # the first call may compile for minutes, so that none does
                    await target.answer(exchange)
            except ClientLeftError:
                pass
            except DeadlineExceededError:
                reply = timed_out(self._timeout)
            except Exception as error:
                reply = _reply_to(error, target.location, exchange)
            if reply is not None and not exchange.started:
                await exchange.reply(reply)
        finally:
            self._running -= 1
            status = exchange.status or CLIENT_CLOSED_REQUEST
            metrics.ended(target.route, status, time.perf_counter() - began)


def failed(exchange: Exchange, location: str, error: Exception | None = None) -> Reply:
    """The response to an error that is nobody's but the service's; it is logged."""
    logger.error("%s failed (request %s)", location, exchange.request_id, exc_info=True)
    return reply_to(error or RuntimeError())


def _reply_to(error: Exception, location: str, exchange: Exchange) -> Reply:
    fault = error.fault if isinstance(error, WrongResultError) else error
    if isinstance(fault, ValidationError):
        # Its message holds the values, and its traceback ends with its message.
        logger.error(
            "%s made or returned what does not validate (request %s): %s\n%s",
            location,
            exchange.request_id,
            faults(fault),
            "".join(traceback.format_tb(fault.__traceback__)),
        )
    elif isinstance(error, BentoMLException) and int(error.error_code) < 500:
        logger.info("%s refused request %s: %s", location, exchange.request_id, error)
    elif isinstance(error, BatchTimeout):
        logger.warning("%s is too slow for request %s: %s", location, exchange.request_id, error)
    else:
        return failed(exchange, location, error)
    return reply_to(error)
