"""A rehearsal: what was just dumped is restored once, and asked, before anybody needs it.

It proves that the images restore, and shows which pages a start touches: those are to stand
together in the file, so that a start from a cold disk reads them in one go.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.causes import first_error
from bentofn.packager.snapshot.criu.hot import Touched, touched_by
from bentofn.packager.snapshot.criu.rpc import RestoreFailed
from bentofn.packager.snapshot.criu.worker import children, prime
from bentofn.packager.snapshot.parked import Log, SnapshotRefused, TakeFailed
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest
from bentofn.runtime.protocol import Decoder, Failed, Ready, Restore, encode

_THREADS = 2
"""Compute threads: the code that shares work among threads is touched too."""

_SERVER_ERROR = 500
_LAST = 1 << 16
"""Bytes of its output that are told when it fails."""


@dataclass(frozen=True)
class Question:
    """A request; ``body`` is JSON, or None for a GET."""

    path: str
    body: bytes | None = None


def questions_of(root: Path) -> tuple[Question, ...]:
    """The examples that a bento's service declares, else whether it lives.

    Raises:
        UserError: There is no bento.
    """
    contract = BentoManifest.read(BentoRoot(root).manifest).contract
    examples = tuple(
        Question(f"{contract.path_prefix}{api.route}", json.dumps(example).encode())
        for api in contract.apis
        for example in api.examples
    )
    return examples or (Question("/livez"),)


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
    env: Mapping[str, str],
    questions: tuple[Question, ...],
    timeout: float,
    log: Log,
) -> Rehearsal:
    """Restore images as an instance, ask it, look at what it touched, and end it. Blocks.

    Its ``after_restore`` and ``on_startup`` hooks run, as in every instance.

    Args:
        images: What is restored.
        criu: Who restores it.
        env: The whole environment of the service.
        questions: What it is asked.
        timeout: Seconds that it may take to serve, and again to answer each.
        log: Told what it writes.

    Raises:
        SnapshotRefused: The images do not restore, or what they restore to does not live or answer.
        TakeFailed: CRIU cannot be started, or did not answer.
    """
    with _Wires.open() as wires, _restored(images, criu, env, wires.given, timeout) as pid:
        try:
            restored = touched_by(pid)
            failure = wires.wait(timeout)
            if failure is not None:
                return Rehearsal((), failure)
            serving = touched_by(pid)
            for question in questions:
                wires.ask(question, timeout)
            return Rehearsal((restored, serving, touched_by(pid)))
        except (OSError, http.client.HTTPException) as error:
            for line in wires.output():
                log("stderr", line)
            why = str(error) or type(error).__name__
            raise SnapshotRefused(f"what was restored from it did not answer: {why}") from error


@contextmanager
def _restored(
    images: Path, criu: Criu, env: Mapping[str, str], given: Sequence[int], timeout: float
) -> Iterator[int]:
    """The process that images restore to; it is killed afterwards."""
    known = frozenset(children())
    try:
        worker = prime(criu.command)
    except OSError as error:
        raise TakeFailed(f"CRIU cannot be started: {error.strerror}") from error
    with suppress(OSError):  # what CRIU answers, or that it does not, says why
        worker.request(images)
        own = {**env, "BENTOFN_INSTANCE": "rehearsal"}  # as an instance of a platform has it
        request = Restore("instance", "rehearsal", _THREADS, own, private_mounts=True)
        data = encode(request)
        sent = socket.send_fds(worker.wire, [data], given)
        worker.wire.sendall(data[sent:])
    result = worker.response(timeout)
    if isinstance(result, RestoreFailed):
        reason = first_error("\n".join(worker.errors())) or result.reason
        for pid in set(worker.discard(given)) - known:  # others' children are theirs to wait for
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        failure = TakeFailed if result.unanswered else SnapshotRefused
        raise failure(f"CRIU could not restore what it dumped: {reason}")
    try:
        worker.wire.close()
        worker.release()
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
        written: What it writes.
    """

    control: socket.socket
    remote: socket.socket
    listener: socket.socket
    written: IO[bytes]

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[_Wires]:
        """Make them, and close them afterwards."""
        with ExitStack() as opened:
            control, remote = map(opened.enter_context, socket.socketpair())
            listener = opened.enter_context(socket.socket(socket.AF_UNIX))
            folder = opened.enter_context(tempfile.TemporaryDirectory())
            listener.bind(os.fspath(Path(folder) / "listen"))
            listener.listen()
            yield cls(control, remote, listener, opened.enter_context(tempfile.TemporaryFile()))

    @property
    def given(self) -> list[int]:
        """What the process is given: :data:`bentofn.runtime.protocol.FORK_FDS`."""
        return [file.fileno() for file in (self.listener, self.remote, self.written, self.written)]

    def wait(self, timeout: float) -> str | None:
        """Wait until it serves; else the sentence with which its own code kept it from that.

        Raises:
            OSError: It ended, or did not serve in time.
        """
        self.remote.close()
        self.control.settimeout(timeout)
        decoder = Decoder()
        while data := self.control.recv(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Ready):
                    return None
                if isinstance(message, Failed):
                    return message.error
        raise ConnectionResetError("it ended before it served")

    def ask(self, question: Question, timeout: float) -> None:
        """Ask it.

        Raises:
            OSError, HTTPException: It does not answer, or that it cannot.
        """
        path = self.listener.getsockname()
        with closing(_Connection(path, timeout)) as connection:
            headers = {"Content-Type": "application/json"} if question.body else {}
            method = "GET" if question.body is None else "POST"
            connection.request(method, question.path, question.body, headers)
            response = connection.getresponse()
            answer = response.read()
        if response.status >= _SERVER_ERROR:
            said = answer[:300].decode(errors="replace")
            raise http.client.HTTPException(f"{question.path} gives {response.status}: {said}")

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
