"""One execution environment: it outlives its runtime, which is started again when it ends.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.engines.base import StartFailed
from bentofn.adapters.local.lambda_ import report
from bentofn.adapters.local.lambda_.failures import RuntimeFailed, describe
from bentofn.adapters.local.lambda_.invocation import (
    Invocation,
    InvocationRefused,
    InvocationResult,
)
from bentofn.adapters.local.lambda_.messages import Answered
from bentofn.adapters.local.lambda_.offers import offer_of
from bentofn.adapters.local.lambda_.output import Tail
from bentofn.adapters.local.lambda_.runtime import Runtime
from bentofn.adapters.local.lambda_.setup import Setup

INIT_TIMEOUT = 10.0
RESTORE_TIMEOUT = 10.0
"""Seconds from the snapshot point to the first call for work, hooks included. Source:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html"""

TakeSnapshot = Callable[[str], Awaitable[Runtime]]
"""Gives a runtime that waits at its snapshot point, by the name that it is to have."""


@dataclass
class _Outcome:
    """What became of an invocation, before it is summed up."""

    payload: bytes
    content_type: str = "application/json"
    error_type: str = ""
    status: str = ""
    duration: float | None = None


class LambdaEnvironment:
    """An environment, which is an instance of the platform's too.

    Args:
        setup: The function's.
        name: The instance's name.
        take: Gives its runtimes where the function has SnapStart; None where they are started.
        init_timeout: Seconds for a start, after which it is begun anew in the first invocation.
    """

    def __init__(
        self,
        setup: Setup,
        name: str,
        take: TakeSnapshot | None = None,
        init_timeout: float = INIT_TIMEOUT,
    ) -> None:
        self.id = name
        self.socket_path = Path(os.devnull)
        self.verdict = ""
        self.trouble = ""
        """Why every invocation fails as it stands: how its last start failed."""
        self._setup = setup
        self._function = setup.function
        self._take = take
        self._init_timeout = init_timeout
        self._runtime: Runtime | None = None
        self._booting = asyncio.Lock()
        self._turns = asyncio.Semaphore(setup.function.workers)
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[int] = self._loop.create_future()
        self._running: set[asyncio.Task[InvocationResult]] = set()
        self._init_ms: float | None = None
        self._restore_ms: float | None = None
        self._peak = 0

    @property
    def pid(self) -> int:
        """Its runtime's process; 0 where none runs."""
        runtime = self._runtime
        return runtime.pid if runtime is not None and not runtime.ended else 0

    async def ready(self) -> None:
        """Start its runtime. One that fails is no failure yet: the first invocation starts another.

        Raises:
            StartFailed: The system runs no process.
        """
        try:
            began = self._loop.time()
            await asyncio.wait_for(self._boot("init"), self._patience)
        except asyncio.TimeoutError:
            took = (self._loop.time() - began) * 1000
            self._tell(report.phase("INIT init", took, "timeout"))
            await self._end_runtime()
        except (RuntimeFailed, InvocationRefused) as error:
            self.trouble = (
                error.message if isinstance(error, InvocationRefused) else describe(error)
            )

    async def wait(self) -> int:
        """Wait until it is stopped; nothing else ends it."""
        return await asyncio.shield(self._stopped)

    async def stop(self, grace: float) -> None:
        """Stop it; Lambda gives a runtime without extensions no time for that."""
        if not self._stopped.done():
            self._stopped.set_result(0)
        await self._end_runtime()
        if self._running:
            await asyncio.wait(self._running)

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """See :class:`bentofn.adapters.local.lambda_.invocation.Environment`."""
        task = self._loop.create_task(self._invoke(invocation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    @property
    def _patience(self) -> float | None:
        # A snapshot may have to be taken first, which has a limit of its own.
        return self._init_timeout if self._take is None else None

    async def _invoke(self, invocation: Invocation) -> InvocationResult:
        async with self._turns:
            if self._take is not None:  # a restore has a limit of its own, and is no part of it
                await self._alive()
            began, tail = self._loop.time(), Tail()
            outcome = await self._within(invocation, tail)
            took = outcome.duration or (self._loop.time() - began) * 1000
            return self._sum_up(invocation, tail, outcome, took)

    async def _within(self, invocation: Invocation, tail: Tail) -> _Outcome:
        """Run an invocation until its deadline."""
        request_id = invocation.request_id
        self._tell(report.start(request_id, self._function.version), tail, request_id)
        work = self._loop.create_task(self._perform(invocation, tail))
        done, _ = await asyncio.wait({work}, timeout=max(0.0, invocation.deadline - time.time()))
        if not done:
            work.cancel()
            await asyncio.wait({work})
            if self._function.workers == 1:
                await self._end_runtime()
            payload, line = report.timed_out(request_id, self._function.timeout)
            self._tell(line, tail, request_id)
            limit = self._function.timeout * 1000
            return _Outcome(payload, "application/json", report.TIMED_OUT, "timeout", limit)
        try:
            answered = work.result()
        except RuntimeFailed as failure:
            return self._failed(request_id, failure, tail)
        status = "" if answered.error_type is None else "error"
        return _Outcome(answered.payload, answered.content_type, answered.error_type or "", status)

    async def _perform(self, invocation: Invocation, tail: Tail) -> Answered:
        runtime = await self._alive()
        runtime.listeners.append(tail.add)
        try:
            offer = offer_of(invocation, self._function.arn)
            return await runtime.perform(offer, invocation.stream)
        finally:
            runtime.listeners.remove(tail.add)
            self._peak = max(self._peak, runtime.peak_memory())

    async def _alive(self) -> Runtime:
        """The runtime, another one if it has ended.

        Raises:
            RuntimeFailed: It does not start.
            InvocationRefused: It could not be restored, or the system runs no process.
        """
        async with self._booting:
            runtime = self._runtime
            if runtime is not None and not runtime.ended:
                return runtime
            try:
                return await self._boot("invoke")
            except StartFailed as error:
                raise InvocationRefused(500, "ServiceException", str(error)) from error

    async def _boot(self, during: str) -> Runtime:
        """Have a runtime that asks for work.

        Raises:
            RuntimeFailed: It will not.
            InvocationRefused: It could not be restored.
            StartFailed: The system runs no process.
        """
        if self._stopped.done():
            raise InvocationRefused(500, "ServiceException", "The environment was stopped.")
        await self._end_runtime()
        if self._take is not None:
            return await self._restore(self._take)
        runtime = self._runtime = Runtime(self._setup, self.id)
        began = self._loop.time()
        if during == "init":
            self._tell(f"INIT_START Runtime Version: {self._function.runtime_version}")
        await runtime.start()
        try:
            await runtime.ready()
        except RuntimeFailed as failure:
            took = (self._loop.time() - began) * 1000
            self._tell(report.phase(f"INIT {during}", took, "error", failure.error_type))
            raise
        if during == "init":
            self._init_ms = (self._loop.time() - began) * 1000
        self.trouble = ""
        return runtime

    async def _restore(self, take: TakeSnapshot) -> Runtime:
        runtime = self._runtime = await take(self.id)
        began = self._loop.time()
        self._tell(f"RESTORE_START Runtime Version: {self._function.runtime_version}")
        runtime.restore()
        try:
            await asyncio.wait_for(runtime.ready(), RESTORE_TIMEOUT)
        except (RuntimeFailed, asyncio.TimeoutError) as error:
            await self._end_runtime()
            took = (self._loop.time() - began) * 1000
            if isinstance(error, RuntimeFailed):
                self._tell(report.phase("RESTORE", took, "error", error.error_type))
                raise InvocationRefused(400, "SnapStartException", describe(error)) from error
            self._tell(report.phase("RESTORE", took, "timeout"))
            what = f"The restore took over {RESTORE_TIMEOUT:g} seconds."
            raise InvocationRefused(408, "SnapStartTimeoutException", what) from error
        self._restore_ms = (self._loop.time() - began) * 1000
        self._tell(report.phase("RESTORE", self._restore_ms, ""))
        self.trouble = ""
        return runtime

    async def _end_runtime(self) -> None:
        if self._runtime is not None:
            self._peak = max(self._peak, self._runtime.peak_memory())
            await self._runtime.kill()

    def _failed(self, request_id: str, failure: RuntimeFailed, tail: Tail) -> _Outcome:
        """What a caller learns of a runtime that ended, or did not start."""
        if failure.payload is not None:
            return _Outcome(failure.payload, error_type=failure.error_type, status="error")
        if self._runtime is not None and self._runtime.verdict:
            self._peak = self._function.memory
            self._tell(self._runtime.verdict, tail, request_id)
        payload, line = report.exited(request_id, failure.status, failure.error_type)
        self._tell(line, tail, request_id)
        self._tell(failure.error_type, tail, request_id)
        return _Outcome(payload, error_type=failure.error_type, status="error")

    def _sum_up(
        self, invocation: Invocation, tail: Tail, outcome: _Outcome, took: float
    ) -> InvocationResult:
        init, self._init_ms = self._init_ms, None
        restore, self._restore_ms = self._restore_ms, None
        result = InvocationResult(
            payload=outcome.payload,
            function_error="Unhandled" if outcome.error_type else None,
            log_tail=b"",
            duration_ms=took,
            billed_ms=report.billed(took, init, restore),
            init_ms=init,
            max_memory_mb=min(self._peak, self._function.memory),
            content_type=outcome.content_type,
            restore_ms=restore,
            error_type=outcome.error_type,
        )
        request_id = invocation.request_id
        self._tell(report.end(request_id), tail, request_id)
        self._tell(
            report.report(request_id, self._function.memory, result, outcome.status),
            tail,
            request_id,
        )
        if invocation.log_tail:
            return dataclasses.replace(result, log_tail=tail.read())
        return result

    def _tell(self, line: str, tail: Tail | None = None, request_id: str = "") -> None:
        self._setup.log(self.id, "platform", line, request_id)
        if tail is not None:
            tail.add(line)
