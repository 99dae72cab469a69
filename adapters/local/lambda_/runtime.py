"""One process of a function's: it asks the Runtime API for work until it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bentofn.adapters.local.engines import children
from bentofn.adapters.local.engines.base import StartFailed
from bentofn.adapters.local.engines.children import kill_session
from bentofn.adapters.local.isolation.limits import MEBI
from bentofn.adapters.local.isolation.memory import peak_of_all
from bentofn.adapters.local.isolation.policy import Tenancy
from bentofn.adapters.local.kept_output import Budget
from bentofn.adapters.local.lambda_.failures import RuntimeFailed
from bentofn.adapters.local.lambda_.freezing import Freezer
from bentofn.adapters.local.lambda_.messages import (
    Answered,
    Broken,
    Call,
    Offer,
    Output,
    Reply,
    RestoreReady,
    Streaming,
    Waiting,
)
from bentofn.adapters.local.lambda_.output import Frames, Pipe
from bentofn.adapters.local.lambda_.runtime_api import RuntimeApi
from bentofn.adapters.local.lambda_.server import RuntimeServer
from bentofn.adapters.local.lambda_.setup import Setup
from bentofn.adapters.local.lambda_.streaming import ResponseStream
from bentofn.packager.lines import LineSplitter
from bentofn.runtime.ric import SIGNALLED


class Runtime:
    """A process and its Runtime API.

    Args:
        setup: The function's.
        name: What it is called in the log; it may be changed.
    """

    def __init__(self, setup: Setup, name: str) -> None:
        self.name = name
        self.listeners: list[Callable[[str], None]] = []
        """Called with each line that it writes."""
        self._setup = setup
        function = setup.function
        self._api = RuntimeApi(function.workers, snap_start=function.snap_start)
        self._server = RuntimeServer(self)
        self._loop = asyncio.get_running_loop()
        self._process: children.Process | None = None
        self._pipes: list[Pipe] = []
        self._answers: dict[str, asyncio.Future[Answered]] = {}
        self._streams: dict[str, ResponseStream] = {}
        self._written: dict[int, ResponseStream] = {}
        """The streams that a runtime writes, by the numbers of its calls."""
        self._ready: asyncio.Future[None] = self._future()
        self._parked: asyncio.Future[None] = self._future()
        self._idle = asyncio.Event()
        self._failure: RuntimeFailed | None = None
        self._peak = 0
        self._request = ""
        self._freezer = Freezer(lambda: self.pid)
        self._life: asyncio.Task[int] | None = None
        self._tenancy: Tenancy | None = None

    @property
    def pid(self) -> int:
        """Its process; 0 before it has one."""
        return self._process.pid if self._process is not None else 0

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return self._life is None or self._life.done()

    @property
    def verdict(self) -> str:
        """Why its limits ended it; empty where they did not."""
        return self._tenancy.verdict if self._tenancy is not None else ""

    async def start(self) -> None:
        """Start its process.

        Raises:
            StartFailed: The system does not run it.
        """
        setup = self._setup
        self._tenancy = setup.tenancy(self.name)
        reads, writes = [], []
        try:
            await self._server.open()
            for _ in range(3):
                read, write = os.pipe()
                reads.append(read)
                writes.append(write)
            env = {
                **setup.variables,
                "AWS_LAMBDA_RUNTIME_API": self._server.address,
                "AWS_LAMBDA_LOG_STREAM_NAME": setup.function.new_log_stream(),
            }
            if setup.function.workers == 1:  # several share one process's output and have no frames
                env["_LAMBDA_TELEMETRY_LOG_FD"] = str(writes[2])
            self._process = await children.start(
                setup.command,
                stdout=writes[0],
                stderr=writes[1],
                pass_fds=[writes[2]],
                env=env,
                namespaces=setup.namespaces,
            )
        except BaseException as error:
            for fd in reads:
                os.close(fd)
            await self._server.close()
            await asyncio.shield(self._tenancy.end())
            if isinstance(error, OSError):
                raise StartFailed(f"{setup.command[0]} cannot be run: {error.strerror}") from error
            raise
        finally:
            for fd in writes:
                os.close(fd)
        self._tenancy.begin(self.pid, lambda line: setup.log(self.name, "platform", line))
        budget = Budget(self._loop.time)
        self._pipes = [
            Pipe(reads[2], Frames(), budget, lambda line: self._write("stdout", line)),
            Pipe(reads[0], LineSplitter(), budget, lambda line: self._write("stdout", line)),
            Pipe(reads[1], LineSplitter(), budget, lambda line: self._write("stderr", line)),
        ]
        self._life = self._loop.create_task(self._live())

    async def ready(self) -> None:
        """Wait until it asks for work.

        Raises:
            RuntimeFailed: It will not.
        """
        await asyncio.shield(self._ready)

    async def parked(self) -> None:
        """Wait until it is at its snapshot point; raises as :meth:`ready`."""
        await asyncio.shield(self._parked)

    def restore(self) -> None:
        """Let it go on from its snapshot point."""
        self._freezer.thaw()
        self._tell(self._api.restore())

    async def perform(self, offer: Offer, stream: ResponseStream | None = None) -> Answered:
        """Have it do an invocation.

        Args:
            offer: The invocation.
            stream: Where its answer goes if the runtime streams it; an offer that ``streams`` has
                one.

        Returns:
            The answer, once the runtime has asked for more work or ended.

        Raises:
            RuntimeFailed: It ended without an answer.
        """
        if self._failure is not None:
            raise self._failure
        answer: asyncio.Future[Answered] = self._future()
        self._answers[offer.request_id] = answer
        if stream is not None:
            self._streams[offer.request_id] = stream
        self._request = offer.request_id if self._setup.function.workers == 1 else ""
        self._idle.clear()
        self._freezer.thaw()
        try:
            self._tell(self._api.offer(offer))
            answered = await answer
            if self._setup.function.workers == 1:
                await self._idle.wait()
        finally:
            del self._answers[offer.request_id]
            self._streams.pop(offer.request_id, None)
            self._api.give_up(offer.request_id)
            self.drain()
            self._request = ""
            self._rest()
        return answered

    def drain(self) -> None:
        """Read what it has written so far."""
        for pipe in self._pipes:
            pipe.drain()

    def peak_memory(self) -> int:
        """MiB that its processes have used at most, also once it has ended."""
        if not self.ended:
            self._peak = max(self._peak, peak_of_all(self.pid) // MEBI)
        return self._peak

    async def kill(self) -> None:
        """End it and wait until all of it has gone; Lambda gives a runtime no time either."""
        if self._life is None:
            return
        if not self._life.done():
            kill_session(self.pid)
        await asyncio.shield(self._life)

    async def _live(self) -> int:
        assert self._process is not None
        assert self._tenancy is not None
        status = await self._process.wait()
        if self._setup.namespaces is not None and status - SIGNALLED in signal.valid_signals():
            status = SIGNALLED - status
        kill_session(self.pid)
        for pipe in self._pipes:
            pipe.close()
        await self._server.close()
        await self._tenancy.end()
        if self._failure is None:
            self._failure = RuntimeFailed("Runtime.ExitError", None, status)
        self._failure.status = status
        waiting: list[asyncio.Future[Any]] = [self._ready, self._parked, *self._answers.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(self._failure)
        self._idle.set()
        return status

    def began(self, call: Call) -> bool:
        """See :class:`bentofn.adapters.local.lambda_.server.Listener`."""
        self._tell(self._api.begin(call))
        return call.number in self._written

    def wrote(self, number: int, piece: bytes) -> None:
        """See Listener."""
        self._written[number].feed(piece)

    def called(self, call: Call) -> None:
        """See Listener."""
        self._written.pop(call.number, None)
        self._tell(self._api.call(call))

    def hung_up(self, number: int) -> None:
        """See Listener."""
        self._api.hung_up(number)

    def _tell(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case Reply():
                    self._server.reply(output)
                case Waiting():
                    if not self._ready.done() and self._tenancy is not None:
                        self._tenancy.serves()
                    _settle(self._ready)
                    self._idle.set()
                case RestoreReady():
                    _settle(self._parked)
                case Streaming(number, request_id, content_type):
                    stream = self._written[number] = self._streams[request_id]
                    stream.begin(content_type, partial(self._server.hold, number))
                case Answered(request_id):
                    answer = self._answers.get(request_id)
                    if answer is not None and not answer.done():
                        answer.set_result(output)
                case Broken(payload, error_type):
                    self._failure = RuntimeFailed(error_type, payload)
        self._rest()

    def _rest(self) -> None:
        """Stop it until there is work."""
        if self._api.idle and not (self._answers or self._freezer.frozen or self.ended):
            self.drain()
            self._freezer.freeze()

    def _write(self, stream: str, line: str) -> None:
        self._setup.log(self.name, stream, line, self._request)
        for listener in self.listeners:
            listener(line)

    def _future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        # One that nobody waits for may fail without a warning about it.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
