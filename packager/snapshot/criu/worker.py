"""A CRIU that was started ahead: it restores one process on one message, then it has ended.

Starting CRIU takes longer than what it then does: the program is read, linked, and asks the kernel
what it can do. A primed worker has done that. The socket that the restored process is to have in
its wire's place is made ahead too, since CRIU must inherit it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bentofn.packager.snapshot.criu.rewrite import WIRE
from bentofn.packager.snapshot.criu.rpc import (
    MAX_RESPONSE,
    Restored,
    RestoreFailed,
    parse_response,
    restore_request,
)

PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "slave")
"""Command prefix that gives a worker, and so what it restores, mounts of its own. What the host
mounts later (a bento's tree) is seen there, and nothing of it keeps the host from unmounting."""

_LOG_TAIL = 1 << 14


@dataclass(frozen=True)
class Worker:
    """A primed worker.

    Args:
        process: CRIU, a child of this process; the thread that started it must live on, since
            what it restores dies with its parent.
        rpc: Our end of its request socket; packets.
        wire: Our end of the wire, through which the restored process is told what to be.
        wire_fd: The other end, in CRIU's process.
        log: What CRIU writes.
        private_mounts: Whether what it restores has mounts of its own.
    """

    process: subprocess.Popen[bytes]
    rpc: socket.socket
    wire: socket.socket
    wire_fd: int
    log: IO[bytes]
    private_mounts: bool

    def request(self, images: Path) -> None:
        """Have the images restored; the answer comes through ``rpc``.

        Raises:
            OSError: The worker has ended.
        """
        self.rpc.sendall(restore_request(images, WIRE, self.wire_fd))

    def response(self) -> Restored | RestoreFailed:
        """CRIU's answer; blocks until it is there where ``rpc`` is a blocking socket."""
        try:
            return parse_response(self.rpc.recv(MAX_RESPONSE))
        except ConnectionError:
            return parse_response(b"")

    def restore(self, images: Path, timeout: float) -> Restored | RestoreFailed:
        """Restore and wait for it, for callers without an event loop.

        Args:
            images: What to restore.
            timeout: Seconds.
        """
        try:
            self.request(images)
        except OSError:
            return parse_response(b"")
        readable, _, _ = select.select([self.rpc], [], [], timeout)
        return self.response() if readable else RestoreFailed(f"it took over {timeout:g} s")

    def errors(self) -> list[str]:
        """The lines of CRIU's log, its last ones where they are many."""
        size = os.fstat(self.log.fileno()).st_size
        data = os.pread(self.log.fileno(), _LOG_TAIL, max(0, size - _LOG_TAIL))
        return data.decode(errors="replace").splitlines()

    def release(self) -> None:
        """Let go of CRIU after an answer; the wire stays open. Blocks a moment for its end."""
        self.rpc.close()
        self.log.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
            return
        self.process.kill()
        self.process.wait()

    def discard(self) -> None:
        """End a worker that nobody needs, and the wire."""
        self.wire.close()
        self.process.kill()
        self.release()


def prime(command: Sequence[str], prefix: Sequence[str] = PRIVATE_MOUNTS) -> Worker:
    """Start a worker.

    Args:
        command: CRIU's.
        prefix: What it is started through: :data:`PRIVATE_MOUNTS`, or nothing.

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
        log = ours.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(
            [*prefix, *command, "swrk", str(remote_rpc.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[remote_rpc.fileno(), remote_wire.fileno()],
            cwd="/",
        )
        ours.pop_all()
        return Worker(process, rpc, wire, remote_wire.fileno(), log, bool(prefix))
