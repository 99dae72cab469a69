"""A rehearsal: what was just dumped is restored once, and asked, before anybody needs it.

It proves that the images restore, and shows which pages a start touches: those are to stand
together in the file, so that a start from a cold disk reads them in one go.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from bentofn.packager.locks import when
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.causes import first_error
from bentofn.packager.snapshot.criu.hot import Touched, touched_by
from bentofn.packager.snapshot.criu.rpc import RestoreFailed
from bentofn.packager.snapshot.criu.worker import NOTICED_WITHIN, prime, reap
from bentofn.packager.snapshot.parked import Log, SnapshotRefused, TakeFailed
from bentofn.runtime.cuda.checkpoint import CannotCheckpoint
from bentofn.runtime.cuda.controller import Controller
from bentofn.runtime.protocol import (
    Decoder,
    Failed,
    Ready,
    Rehearse,
    Rehearsed,
    Restore,
    encode,
)

_THREADS = 2
"""Compute threads: the code that shares work among threads is touched too."""

_HEALTH = "/livez"
_SERVER_ERROR = 500
"""Less than that says nothing of the snapshot: middleware that wants credentials, for instance."""

_LAST = 1 << 16
"""Bytes of its output that are told when it fails."""


class _NotAnsweredError(Exception):
    """What was restored says that it cannot answer; the message says why."""


@dataclass(frozen=True)
class Rehearsal:
    """How a rehearsal went.

    Args:
        touched: What the process had touched when CRIU let it go, when it served, and when it had
            answered.
        note: Why it did not come to an answer where that says nothing of the images, else empty.
    """

    touched: tuple[tuple[Touched, ...], ...]
    note: str = ""


def rehearse(
    images: Path,
    criu: Criu,
    owner: Path,
    env: Mapping[str, str],
    timeout: float,
    log: Log,
    called_off: threading.Event,
    device: Controller | None = None,
) -> Rehearsal:
    """Restore images as an instance, ask it, look at what it touched, and end it. Blocks.

    Its ``after_restore`` and ``on_startup`` hooks run, as in every instance. It answers one request
    at its socket, and its service's examples as it did when it was warmed up.

    Args:
        images: What is restored.
        criu: Who restores it.
        owner: Directory of the home's snapshots, by which what a killed process leaves is known.
        env: The whole environment of the service.
        timeout: Seconds that it may take to serve, and again to answer.
        log: Told what it writes.
        called_off: Set from another thread when nobody wants it any more: what runs is ended.
        device: Puts its memory back on the GPU; None where it has none there.

    Raises:
        SnapshotRefused: The images do not restore, or what they restore to does not live or answer.
        TakeFailed: CRIU cannot be started, or did not answer.
    """
    with (
        _Wires.open() as wires,
        _restored(images, criu, owner, env, wires.given, timeout, called_off) as pid,
    ):
        try:
            if device is not None:
                device.put_back(pid)
            restored = touched_by(pid)
            failure = wires.hear(timeout)
            if failure is not None:
                return Rehearsal((), failure)
            serving = touched_by(pid)
            wires.connect(timeout)
            wires.control.sendall(encode(Rehearse()))
            failure = wires.hear(timeout)
            if failure is not None:
                raise _NotAnsweredError(failure.rstrip("."))
            return Rehearsal((restored, serving, touched_by(pid)))
        except (
            OSError,
            http.client.HTTPException,
            _NotAnsweredError,
            CannotCheckpoint,
        ) as error:
            for line in wires.output():
                log("stderr", line)
            why = str(error) or type(error).__name__
            raise SnapshotRefused(f"what was restored from it did not answer: {why}") from error


@contextmanager
def _restored(
    images: Path,
    criu: Criu,
    owner: Path,
    env: Mapping[str, str],
    given: Sequence[int],
    timeout: float,
    called_off: threading.Event,
) -> Iterator[int]:
    """The process that images restore to; it is killed afterwards."""
    try:
        worker = prime(criu.command, owner)
    except OSError as error:
        raise TakeFailed(f"CRIU cannot be started: {error.strerror}") from error
    with suppress(OSError):  # what CRIU answers, or that it does not, says why
        worker.request(images)
        own = {**env, "BENTOFN_INSTANCE": "rehearsal"}  # as an instance of a platform has it
        request = Restore("instance", "rehearsal", _THREADS, own, private_mounts=True)
        data = encode(request)
        sent = socket.send_fds(worker.wire, [data], given)
        worker.wire.sendall(data[sent:])
    with when(called_off, worker.process.kill):
        result = worker.response(images, timeout)
    if isinstance(result, RestoreFailed):
        reason = first_error("\n".join(worker.errors())) or result.reason
        ended = worker.discard(given)
        if ended:
            time.sleep(NOTICED_WITHIN)
            reap(ended)
        failure = TakeFailed if result.unanswered else SnapshotRefused
        raise failure(f"CRIU could not restore what it dumped: {reason}")
    try:
        worker.wire.close()
        worker.release()
        with when(called_off, partial(os.kill, result.pid, signal.SIGKILL)):
            yield result.pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(result.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(result.pid, 0)


@dataclass(frozen=True)
class _Wires:
    """What connects us to the process.

    Args:
        control: Our end of its control socket.
        remote: The process's.
        listener: Its listening socket.
        path: That socket's.
        written: What it writes.
    """

    control: socket.socket
    remote: socket.socket
    listener: socket.socket
    path: str
    written: IO[bytes]

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[_Wires]:
        """Make them, and close them afterwards."""
        with ExitStack() as opened:
            control, remote = map(opened.enter_context, socket.socketpair())
            listener = opened.enter_context(socket.socket(socket.AF_UNIX))
            folder = opened.enter_context(tempfile.TemporaryDirectory())
            path = os.fspath(Path(folder) / "listen")
            listener.bind(path)
            listener.listen()
            written = opened.enter_context(tempfile.TemporaryFile())
            yield cls(control, remote, listener, path, written)

    @property
    def given(self) -> list[int]:
        """What the process is given: :data:`bentofn.runtime.protocol.FORK_FDS`."""
        return [file.fileno() for file in (self.listener, self.remote, self.written, self.written)]

    def hear(self, timeout: float) -> str | None:
        """Wait until it has done what it is to do; else the sentence why it could not.

        Raises:
            OSError: It ended, or did not say so in time.
        """
        # With our copies open nobody would learn that it has ended: not who waits for its word, nor
        # who connected and was not yet accepted.
        self.remote.close()
        self.listener.close()
        self.control.settimeout(timeout)
        decoder = Decoder()
        while data := self.control.recv(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Ready | Rehearsed):
                    return None
                if isinstance(message, Failed):
                    return message.error
        raise ConnectionResetError("it ended")

    def connect(self, timeout: float) -> None:
        """Have it answer a request at its socket.

        Raises:
            OSError, HTTPException: It does not answer.
            _NotAnsweredError: It answers that it is broken.
        """
        with closing(_Connection(self.path, timeout)) as connection:
            connection.request("GET", _HEALTH)
            response = connection.getresponse()
            answer = response.read()
        if response.status >= _SERVER_ERROR:
            said = answer[:300].decode(errors="replace")
            raise _NotAnsweredError(f"{_HEALTH} gives {response.status}: {said}")

    def output(self) -> list[str]:
        """The last lines that it wrote."""
        size = self.written.seek(0, os.SEEK_END)
        self.written.seek(max(0, size - _LAST))
        return self.written.read().decode(errors="replace").splitlines()


class _Connection(http.client.HTTPConnection):
    """HTTP to a socket with a path."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("rehearsal", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
