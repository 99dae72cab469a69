"""A process that parks to be kept, in a pid namespace of its own."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bentofn.packager.lines import LineSplitter
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import boot_command
from bentofn.runtime.protocol import (
    Decoder,
    Failed,
    ProtocolError,
    Ready,
    Refused,
    Threaded,
    Warmed,
)

Log = Callable[[str, str], None]
"""Takes ``stdout`` or ``stderr``, and a line."""

# setpriv makes unshare die with us, and unshare the process: nothing is left of a killed taker.
# Process 1 of a namespace keeps its number wherever it is restored, and takes its kin with it.
_ISOLATE = (
    ("setpriv", ("--pdeathsig", "KILL")),
    ("unshare", ("--pid", "--fork", "--kill-child=KILL")),
)

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_POLL = 0.002
_LOOK = 0.2
_ENDING = 5.0


_KILLED = "unshare: sigprocmask unblock failed"
"""What unshare of util-linux 2.38 says of a child that SIGKILL ended; newer ones end like it."""


class SnapshotRefused(UserError):  # noqa: N818 - reads as what happened
    """The service works but cannot be kept as a snapshot; the message says why."""


class TakeFailed(UserError):  # noqa: N818 - reads as what happened
    """No snapshot was taken; the message says why."""


class StartsThreads(TakeFailed):
    """A package that a zygote imported started a thread.

    Args:
        package: It.
    """

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} starts threads when it is imported")
        self.package = package


@contextmanager
def parked(
    bento_root: Path,
    python: Path,
    env: Mapping[str, str],
    wire: Path,
    timeout: float,
    log: Log,
    called_off: threading.Event,
) -> Iterator[int]:
    """Start a service's process and wait until it is parked; it is killed afterwards.

    Args:
        bento_root: The bento's root.
        python: The interpreter.
        env: The whole environment.
        wire: An empty file that the process keeps open.
        timeout: Seconds in which the service must reach its snapshot point.
        log: Told what the process writes.
        called_off: Set from another thread when nobody wants it any more.

    Yields:
        Its process id.

    Raises:
        SnapshotRefused: It cannot be kept as a snapshot.
        TakeFailed: It does not reach its snapshot point.
    """
    command = boot_command(python, bento_root, "snapshot", "--wire", os.fspath(wire))
    with parked_process(command, env, timeout, log, called_off) as (pid, _):
        yield pid


@contextmanager
def parked_process(
    command: list[str],
    env: Mapping[str, str],
    timeout: float,
    log: Log,
    called_off: threading.Event,
) -> Iterator[tuple[int, Ready | Warmed]]:
    """Start a boot process that parks, as :func:`parked` does.

    Args:
        command: Its command line, which is told its control socket.
        env: The whole environment, as for :func:`parked`, with ``timeout``, ``log`` and
            ``called_off``.

    Yields:
        Its process id, and what it said last.

    Raises:
        SnapshotRefused: It cannot be kept as a snapshot.
        StartsThreads: It is a zygote, and must be started without a package.
        TakeFailed: It does not park.
    """
    with _started(command, env) as process:
        said = _Waiting(process, log, timeout, called_off).wait()
        yield process.pid, said


@dataclass(frozen=True)
class _Process:
    """The process that runs ``unshare``, and what its child is connected to us with."""

    unshare: subprocess.Popen[bytes]
    control: socket.socket
    control_fd: int

    @property
    def pid(self) -> int:
        """The child: process 1 of its namespace.

        Raises:
            TakeFailed: It has ended.
        """
        number = self.unshare.pid
        with contextlib.suppress(OSError, IndexError):
            return int(Path(f"/proc/{number}/task/{number}/children").read_text().split()[0])
        raise TakeFailed("the service ended at its snapshot point")


@contextmanager
def _started(command: list[str], env: Mapping[str, str]) -> Iterator[_Process]:
    control, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with control, remote:
        try:
            unshare = subprocess.Popen(
                [*_isolation(), *command, "--control-fd", str(remote.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[remote.fileno()],
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise TakeFailed(f"{command[0]} cannot be run: {error.strerror}") from error
        process = _Process(unshare, control, remote.fileno())
        remote.close()
        try:
            yield process
        finally:
            _end(process)


def _isolation() -> list[str]:
    words: list[str] = []
    for program, options in _ISOLATE:
        path = shutil.which(program) or shutil.which(program, path=_SYSTEM_PATH)
        if path is None:
            raise TakeFailed(f"there is no program {program}; install util-linux")
        words += [path, *options]
    return words


def _end(process: _Process) -> None:
    """Kill what still runs, and wait until it has ended."""
    unshare, deadline = process.unshare, time.monotonic() + _ENDING
    # It may be about to fork: killed in that moment, it could leave its child.
    while unshare.poll() is None and not _kill_child(process) and time.monotonic() < deadline:
        time.sleep(_POLL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        unshare.wait(_ENDING)
    unshare.kill()
    unshare.wait()
    for pipe in (unshare.stdout, unshare.stderr):
        if pipe is not None:
            pipe.close()


def _kill_child(process: _Process) -> bool:
    """Kill it and wait; False where there is none."""
    with contextlib.suppress(TakeFailed, ProcessLookupError):
        child = os.pidfd_open(process.pid)
        try:
            signal.pidfd_send_signal(child, signal.SIGKILL)
            select.select([child], [], [], _ENDING)
        finally:
            os.close(child)
        return True
    return False


@dataclass
class _Waiting:
    """Waits until a process has parked: it said so, let go of what it had of ours, and sleeps."""

    process: _Process
    log: Log
    timeout: float
    called_off: threading.Event
    last_error: str = ""
    was_killed: bool = False
    ready: Ready | Warmed | None = None
    decoder: Decoder = field(default_factory=Decoder)

    def wait(self) -> Ready | Warmed:
        deadline = time.monotonic() + self.timeout
        unshare, control = self.process.unshare, self.process.control
        assert unshare.stdout is not None
        assert unshare.stderr is not None
        lines = {"stdout": LineSplitter(), "stderr": LineSplitter()}
        with selectors.DefaultSelector() as selector:
            selector.register(control, selectors.EVENT_READ, None)
            selector.register(unshare.stdout, selectors.EVENT_READ, "stdout")
            selector.register(unshare.stderr, selectors.EVENT_READ, "stderr")
            while selector.get_map() and not (self.ready and self._has_parked()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TakeFailed(
                        f"the service did not reach its snapshot point within {self.timeout:g} s"
                    )
                if self.called_off.is_set():
                    raise TakeFailed("it was called off")
                for key, _ in selector.select(_POLL if self.ready else min(left, _LOOK)):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    if key.data is None:
                        self._hear(data)
                    else:
                        splitter = lines[key.data]
                        self._write(key.data, splitter.feed(data) if data else splitter.flush())
        if self.ready is None:
            raise TakeFailed(self._how_it_ended())
        return self.ready

    def _has_parked(self) -> bool:
        """Whether its last step is done: it must not be dumped before it waits for the wire."""
        process = Path(f"/proc/{self.process.pid}")
        try:
            (process / "fd" / str(self.process.control_fd)).readlink()
        except FileNotFoundError:
            return (process / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        return False

    def _hear(self, data: bytes) -> None:
        try:
            messages = self.decoder.feed(data)
        except ProtocolError as error:
            raise TakeFailed(f"the service's process sent {error}") from None
        for message in messages:
            if isinstance(message, Refused):
                raise SnapshotRefused(message.error)
            if isinstance(message, Failed):
                raise TakeFailed(message.error)
            if isinstance(message, Threaded):
                raise StartsThreads(message.package)
            if isinstance(message, Ready | Warmed):
                self.ready = message

    def _write(self, stream: str, lines: list[str]) -> None:
        for line in lines:
            if line.startswith(_KILLED):
                self.was_killed = True
                continue
            self.log(stream, line)
            if stream == "stderr":
                self.last_error = line.strip() or self.last_error

    def _how_it_ended(self) -> str:
        status = self.process.unshare.wait()
        how = f"it exited with status {status} before its snapshot point"
        if self.was_killed or status == -signal.SIGKILL:
            how = "it was killed before its snapshot point, for want of memory perhaps"
        return f"{self.last_error} ({how})" if self.last_error else how
