"""The children of a process: started, started again when they end, stopped in order."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bentofn.runtime import lifeline
from bentofn.runtime.http.serving import GRACE
from bentofn.runtime.supervisor.backoff import Backoff
from bentofn.runtime.supervisor.plan import STARTED_IN

PATIENCE = GRACE + 5.0
"""Seconds in which a child ends after SIGTERM, before it is killed."""

_STOP = (signal.SIGTERM, signal.SIGINT)
_TICK = 0.05


@dataclass
class Child:
    """A process that is to run.

    Args:
        name: What it is called in messages.
        start: Starts it; returns its process id.
        stage: When it is stopped: those of a lower number before it.
        ending: How it ended last, such as ``was killed by signal 9``.
    """

    name: str
    start: Callable[[], int]
    stage: int = 0
    ending: str = ""
    pid: int = 0
    again_at: float = math.inf
    backoff: Backoff = field(default_factory=Backoff)


class Children:
    """Keeps children running until this process is told to stop.

    Args:
        reports: A descriptor that children write lines to; -1 where they write none.
        hear: Called with each line.
        ended: Called when a child ends that was not told to.
    """

    def __init__(
        self,
        reports: int = -1,
        hear: Callable[[str], None] = lambda line: None,
        ended: Callable[[Child], None] = lambda child: None,
    ) -> None:
        self.children: list[Child] = []
        self.stopping = False
        self._reports = reports
        self._hear = hear
        self._ended = ended
        self._rest = b""

    def add(self, child: Child) -> None:
        """Keep a child running; started by :meth:`run`."""
        child.again_at = -math.inf
        self.children.append(child)

    def run(self) -> None:
        """Start the children; returns when all have ended after SIGTERM, SIGINT or :meth:`stop`."""
        with _signals() as wake:
            while not self.stopping:
                self._start_due()
                self._wait(wake, self._next_start())
                self._reap()
            self._end(wake)

    def stop(self) -> None:
        """Begin to stop the children."""
        self.stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in [each for each in self.children if each.again_at <= now]:
            child.again_at = math.inf
            child.backoff.started(now)
            child.pid = child.start()

    def _next_start(self) -> float | None:
        soonest = min((each.again_at for each in self.children), default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - time.monotonic())

    def _wait(self, wake: int, timeout: float | None) -> None:
        watched = [wake] if self._reports < 0 else [wake, self._reports]
        ready, _, _ = select.select(watched, [], [], timeout)
        if wake in ready and set(os.read(wake, 1 << 12)) & set(_STOP):
            self.stopping = True
        if self._reports in ready:
            self._rest += os.read(self._reports, 1 << 16)
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                self._hear(line.decode(errors="replace"))

    def _reap(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.pid and (status := _ended(child.pid)) is not None:
                child.pid = 0
                child.again_at = child.backoff.ended(now)
                if not self.stopping:
                    child.ending = _how(status)
                    print(f"{child.name} {child.ending}; it is started again", file=sys.stderr)
                    self._ended(child)

    def _end(self, wake: int) -> None:
        for stage in sorted({child.stage for child in self.children}):
            self._end_stage([each for each in self.children if each.stage == stage], wake)

    def _end_stage(self, children: Sequence[Child], wake: int) -> None:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for child in children:
                if child.pid:
                    _kill(child.pid, signum)
            until = time.monotonic() + PATIENCE
            while any(child.pid for child in children) and time.monotonic() < until:
                self._reap()
                if any(child.pid for child in children):
                    self._wait(wake, _TICK)


def fork(run: Callable[[], int]) -> int:
    """Start a copy of this process.

    Args:
        run: What the copy does; it exits with what this returns.

    Returns:
        The copy's process id.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Its own group: Ctrl-C is the first process's to pass on, in order.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for signum in (*_STOP, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_DFL)
        lifeline.die_with_parent()
        if os.getppid() == parent:
            status = run()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def spawn(env: Mapping[str, str], fds: Sequence[int]) -> int:
    """Start this process's program again.

    Args:
        env: Its whole environment.
        fds: Descriptors that it inherits.

    Returns:
        Its process id.
    """
    process = subprocess.Popen(
        sys.orig_argv, cwd=env.get(STARTED_IN), env=dict(env), pass_fds=list(fds)
    )
    process.returncode = 0  # waited for by its id
    return process.pid


def _ended(pid: int) -> int | None:
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 1
    return os.waitstatus_to_exitcode(status) if done else None


def _kill(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _how(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that the numbers of signals are written to as they arrive."""
    read, write = os.pipe()
    for fd in (read, write):
        os.set_blocking(fd, False)
    before = {each: signal.signal(each, _nothing) for each in (*_STOP, signal.SIGCHLD)}
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(wakeup)
        for each, handler in before.items():
            signal.signal(each, handler)
        os.close(read)
        os.close(write)


def _nothing(signum: int, frame: object) -> None:
    """The signal's number is read where it was written to."""
