"""A CRIU that was started ahead: it restores one process on one message, then it has ended.

Starting CRIU takes longer than what it then does: the program is read, linked, and asks the kernel
what it can do. A primed worker has done that. The socket that the restored process is to have in
its wire's place is made ahead too, since CRIU must inherit it.

A worker that was asked for nothing ends when this process does, by the end of file of its
requests. One that restores finishes first, and what it restored then finds its wire's end of file.
It must not be killed with its parent: what a CRIU has begun does not end with it. So workers have a
session of their own, which no terminal and no signal to this process's group reaches.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bentofn.packager.snapshot.criu.filling import fill, is_filled
from bentofn.packager.snapshot.criu.installed import NO_PLUGINS
from bentofn.packager.snapshot.criu.open_files import LISTENER, WIRE
from bentofn.packager.snapshot.criu.rpc import (
    MAX_RESPONSE,
    Paused,
    Restored,
    RestoreFailed,
    go_on,
    parse_response,
    restore_request,
)
from bentofn.runtime.errors import UserError

_PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "slave")
"""Command prefix that gives a worker, and so what it restores, mounts of its own. What the host
mounts later (a bento's tree) is seen there, and nothing of it keeps the host from unmounting."""

_NO_BREAKPOINTS = {"CRIU_FAULT": "130"}
"""Has CRIU follow a restored process to its first own instruction by its system calls, not by a
hardware breakpoint: to set one waits for an RCU grace period, some 20 ms on a host that is idle.
CRIU's tests run both ways. Source: criu/include/fault-injection.h (FI_NO_BREAKPOINTS)."""

_UNWRITABLE = Path("/proc")
"""CRIU's work directory. It writes statistics there and goes on where that fails; on a disk, to
truncate those of the last restore takes 2 ms of each."""

NOTICED_WITHIN = 1.0
"""Seconds within which whoever waits for a child that has ended has learnt it."""

_LOG_READ = 1 << 16
_NAMESPACE = re.compile(r"^NSpid:(\s+\d+)+\s+1$", re.MULTILINE)


@dataclass(frozen=True)
class Worker:
    """A primed worker.

    Args:
        process: CRIU, a child of this process; the thread that started it must live on, since
            what it restores dies with its parent.
        ended: Descriptor that is readable when CRIU has ended.
        rpc: Our end of its request socket; packets.
        wire: Our end of the wire, through which the restored process is told what to be.
        given: In CRIU's process: the wire's other end, and a socket that listens at a name of its
            own, by the names of what they take the place of.
        links: What its descriptors are called, by which what it began to restore is known.
        log: What CRIU writes.
        work_dir: Where it leaves what nobody reads.
    """

    process: subprocess.Popen[bytes]
    ended: int
    rpc: socket.socket
    wire: socket.socket
    given: Mapping[str, int]
    links: frozenset[str]
    log: IO[bytes]
    work_dir: int

    def request(self, images: Path) -> None:
        """Have the images restored; the answer comes through ``rpc``.

        Raises:
            OSError: The worker has ended.
        """
        pauses = is_filled(images)
        request = restore_request(images, self.given, self.work_dir, pauses=pauses)
        self.rpc.sendall(request)

    def response(self, images: Path, timeout: float = 60.0) -> Restored | RestoreFailed:
        """CRIU's answer; blocks until it is there, or CRIU has ended without one.

        Args:
            images: What it was asked to restore.
            timeout: Seconds, from one thing that it says to the next.
        """
        while isinstance(said := self.said(timeout), Paused):
            failed = self.go_on(said, images)
            if failed is not None:
                return failed
        return said

    def go_on(self, paused: Paused, images: Path) -> RestoreFailed | None:
        """Do what is to be done where CRIU has paused, and have it go on. Blocks.

        Args:
            paused: What it said.
            images: What it was asked to restore.

        Returns:
            Why that cannot be; the worker is to be discarded then.
        """
        try:
            if paused.has_memory:
                fill(images, paused.pid)
            self.rpc.sendall(go_on())
        except (UserError, OSError) as error:
            return RestoreFailed(str(error))
        return None

    def said(self, timeout: float) -> Restored | RestoreFailed | Paused:
        """The next thing that CRIU says; blocks until it is there, or CRIU has ended.

        The end of file of ``rpc`` proves nothing: what CRIU forked holds it open too.

        Args:
            timeout: Seconds.
        """
        poll = select.poll()
        for descriptor in (self.rpc.fileno(), self.ended):
            poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return RestoreFailed(f"it took over {timeout:g} s")
        try:
            return parse_response(self.rpc.recv(MAX_RESPONSE, socket.MSG_DONTWAIT))
        except OSError:
            return parse_response(b"")

    def errors(self) -> list[str]:
        """The lines of CRIU's log, the first ones where they are many."""
        size = os.fstat(self.log.fileno()).st_size
        data = os.pread(self.log.fileno(), min(size, _LOG_READ), 0)
        return data.decode(errors="replace").splitlines()

    def release(self) -> None:
        """Let go of CRIU after an answer; the wire stays open. Blocks a moment for its end."""
        self.rpc.close()
        self.log.close()
        os.close(self.ended)
        os.close(self.work_dir)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
            return
        self.process.kill()
        self.process.wait()

    def dismiss(self) -> None:
        """Let go of a worker that was asked for nothing, and of its wire."""
        self.wire.close()
        self.release()

    def discard(self, given: Iterable[int] = ()) -> list[int]:
        """End a worker that was asked and did not restore, and all that it began.

        A CRIU that was killed leaves what it forked, wherever the kernel then puts it.

        Args:
            given: Descriptors that were sent through the wire: what has them was restored.

        Returns:
            Children of this process that have ended, that nobody has waited for yet, and that may
            be what was restored. After :data:`NOTICED_WITHIN` they are to be taken (:func:`reap`).
        """
        links = {*self.links, *map(_link, given)}
        self.process.kill()
        self.process.wait()
        ours, ended = _children(), []
        for pid in _processes():
            held = _links(pid)
            if not held.isdisjoint(links):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                if pid in ours:
                    _wait_for(pid, 0)
            elif not held and pid in ours and _is_in_namespace(pid):
                ended.append(pid)
        # Not earlier: the wire's end of file would end what is looked for, and the log's name (its
        # inode's number) would be that of the next worker's.
        self.dismiss()
        return ended


def _children() -> set[int]:
    """Children of this process, whichever thread started them."""
    found: set[int] = set()
    for tasks in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, tasks.read_text().split()))
    return found


def _processes() -> Iterator[int]:
    """All processes but this one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            yield int(entry.name)


def _link(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _links(pid: int) -> set[str]:
    """What a process's descriptors are; one that ends has none."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.add(str(descriptor.readlink()))
    return found


def _is_in_namespace(pid: int) -> bool:
    """Whether it is the first process of a pid namespace below ours."""
    try:
        return bool(_NAMESPACE.search(Path(f"/proc/{pid}/status").read_text()))
    except OSError:
        return False


def reap(ended: Iterable[int]) -> None:
    """Take the ends of children that nobody has waited for by now."""
    for pid in ended:
        _wait_for(pid, os.WNOHANG)


def _wait_for(pid: int, options: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, options)


def prime(command: Sequence[str], owner: Path | None = None) -> Worker:
    """Start a worker.

    Args:
        command: CRIU's.
        owner: Directory of the snapshots that it restores. Its log is a nameless file there, by
            which what it has forked is known, should that outlive this process.

    Raises:
        OSError: It cannot be started; nothing stays open.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        wire, remote_wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.enter_context(wire)
        theirs.enter_context(remote_wire)
        rpc, remote_rpc = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.enter_context(rpc)
        theirs.enter_context(remote_rpc)
        listener = theirs.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind("")  # the kernel gives it a name (autobind of unix(7))
        listener.listen()
        given = {WIRE: remote_wire.fileno(), LISTENER: listener.fileno()}
        log = ours.enter_context(tempfile.TemporaryFile(dir=owner))
        process = subprocess.Popen(
            [*_PRIVATE_MOUNTS, *command, "swrk", str(remote_rpc.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[remote_rpc.fileno(), *given.values()],
            cwd="/",
            env={**os.environ, **_NO_BREAKPOINTS, **NO_PLUGINS},
            start_new_session=True,
        )
        try:
            links = frozenset(_link(file.fileno()) for file in (remote_wire, remote_rpc, log))
            ended = os.pidfd_open(process.pid)
            ours.callback(os.close, ended)
            work_dir = os.open(_UNWRITABLE, os.O_PATH | os.O_DIRECTORY)
            ours.callback(os.close, work_dir)
        except OSError:
            process.kill()
            process.wait()
            raise
        ours.pop_all()
        return Worker(process, ended, rpc, wire, given, links, log, work_dir)
