"""Processes that the platform starts, in pid namespaces of their own where it may make them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bentofn.runtime.namespaces import Namespaces
from bentofn.runtime.stages import stage


class Process(Protocol):
    """A child of the platform, as asyncio's own are."""

    @property
    def pid(self) -> int:
        """Its number for the platform."""

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit status, negative for a signal."""

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""


class Child:
    """A child that is waited for through its pidfd, which takes no thread.

    Args:
        popen: It.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self._handle = os.pidfd_open(popen.pid)
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._handle, self._reap)

    @property
    def pid(self) -> int:
        """See :class:`Process`."""
        return self._popen.pid

    async def wait(self) -> int:
        """See :class:`Process`."""
        return await asyncio.shield(self._ended)

    def send_signal(self, signum: int) -> None:
        """See :class:`Process`."""
        self._popen.send_signal(signum)

    def _reap(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._ended.set_result(self._popen.wait())


async def start(
    command: Sequence[str],
    *,
    stdout: int,
    stderr: int,
    pass_fds: Sequence[int],
    env: Mapping[str, str],
    namespaces: Namespaces | None,
) -> Process:
    """Start a process that leads a session of its own.

    Args:
        command: Its command line.
        stdout: Its standard output.
        stderr: Its standard error.
        pass_fds: Further descriptors that it inherits.
        env: Its whole environment.
        namespaces: Gives it a pid namespace; None leaves it in the platform's.

    Raises:
        OSError: It cannot be started.
    """
    if namespaces is None:
        with stage("process"):
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
                env=env,
                start_new_session=True,
            )
    # Not asyncio's: on Python 3.10 and 3.11 it starts a thread for each child, inside the block.
    with stage("process"), namespaces.for_children():
        popen = subprocess.Popen(  # noqa: ASYNC220 - as asyncio's, it returns once it is started
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            env=env,
            start_new_session=True,
        )
    return Child(popen)


def own_namespaces(runtime: Path) -> Namespaces | None:
    """What gives the processes of a bento namespaces; None where they are to have none.

    Args:
        runtime: The bento's runtime, which may be older than this platform's and know of none.
    """
    if not (runtime / "bentofn" / "runtime" / "namespaces.py").exists():
        return None
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return None  # without them, nobody could tell a clone's number here
    return Namespaces.find()


def number_here(handle: int) -> int:
    """The process id, for this process, of what a pidfd stands for; closes it.

    Returns:
        0 if it has ended and was waited for.
    """
    try:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
                if line.startswith("Pid:"):
                    return max(0, int(line.split()[1]))
        return 0
    finally:
        os.close(handle)


def send_signal(pid: int, signum: signal.Signals) -> None:
    """Send a signal to a process, unless it has ended."""
    if pid > 0:  # 0 is one that has ended, and would be all of our own to the kernel
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def kill_session(leader: int) -> None:
    """Kill what a process that led a session started and left behind, and it if it still runs."""
    if leader > 0:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
