"""One process, dumped once, and restored in two ways: by stock ``criu restore``, and by ours."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import Subject

from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.dump import dump
from bentofn.packager.snapshot.criu.rewrite import rewrite
from bentofn.packager.snapshot.criu.rpc import Restored
from bentofn.packager.snapshot.criu.worker import prime
from bentofn.packager.snapshot.obtain import Subject as Snapshotted
from bentofn.packager.snapshot.parked import parked
from bentofn.runtime.protocol import Restore, encode

TIMEOUT = 60.0
RESTORED = "restored.pid"

PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "slave")
"""As our workers have, so that what is restored may mount a /proc of its own."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket with a path."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(os.fspath(self._path))


@dataclass(frozen=True)
class Images:
    """A service's process on disk, as CRIU dumped it and as we rewrite it.

    Args:
        criu: Who dumped it.
        folder: Holds ``stock`` and ``rewritten``.
        env: The environment of what is restored.
        subject: What it serves.
    """

    criu: Criu
    folder: Path
    env: Mapping[str, str]
    subject: Subject

    @classmethod
    def take(cls, criu: Criu, of: Snapshotted, folder: Path, subject: Subject) -> Images:
        """Start a bento's service, dump it at its snapshot point, and rewrite a copy."""
        wire = folder / "wire"
        wire.touch()

        def quiet(stream: str, line: str) -> None:
            """Drop what the service prints."""

        with parked(of.root, of.python, of.env, wire, TIMEOUT, quiet, threading.Event()) as pid:
            dump(criu, pid, folder / "stock", TIMEOUT)
        rewrite(folder / "stock", folder / "rewritten", folder / "rewritten", wire)
        return cls(criu, folder, of.env, subject)

    def stock(self, truth: Any) -> float:
        """Milliseconds from running ``criu restore`` to the right answer."""
        with self._wires() as (ours, theirs, listener):
            began = time.perf_counter()
            key = os.fspath(self.folder / "wire").lstrip("/")
            options = ["-D", os.fspath(self.folder / "stock"), "-d", "--restore-sibling"]
            options += ["--pidfile", os.fspath(self.folder / RESTORED)]
            options += ["--inherit-fd", f"fd[{theirs.fileno()}]:{key}"]
            command = [*PRIVATE_MOUNTS, *self.criu.command, "restore", *options]
            criu = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=self.folder)
            elapsed = self._answer(began, ours, listener, truth)
            criu.wait()
            pid_file = self.folder / RESTORED
            _end(int(pid_file.read_text()))
            pid_file.unlink()
        return elapsed

    def rewritten(self, truth: Any) -> float:
        """Milliseconds from asking a primed worker to the right answer."""
        worker = prime(self.criu.command)
        time.sleep(0.1)  # it was started ahead
        with self._wires() as (_, _, listener):
            began = time.perf_counter()
            worker.request(self.folder / "rewritten")
            elapsed = self._answer(began, worker.wire, listener, truth)
            response = worker.response(self.folder / "rewritten")
            worker.release()
            worker.wire.close()
            if not isinstance(response, Restored):
                raise SystemExit(response.reason)
            _end(response.pid)
        return elapsed

    @contextmanager
    def _wires(self) -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
        path = self.folder / "listen"
        path.unlink(missing_ok=True)
        ours, theirs = socket.socketpair()
        with ours, theirs, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(path))
            listener.listen()
            yield ours, theirs, listener

    def _answer(
        self, began: float, wire: socket.socket, listener: socket.socket, truth: Any
    ) -> float:
        request = Restore("instance", "bench", 1, self.env, private_mounts=True)
        control, remote = socket.socketpair()
        with control, remote, open(os.devnull, "w") as null:  # noqa: PTH123 - a device
            fds = [listener.fileno(), remote.fileno(), null.fileno(), null.fileno()]
            socket.send_fds(wire, [encode(request)], fds)
            path, body = self.subject.request
            connection = _Connection(self.folder / "listen")
            with contextlib.closing(connection):
                headers = {"Content-Type": "application/json"}
                connection.request("POST", f"/{path}", json.dumps(body), headers)
                value = json.loads(connection.getresponse().read())
            elapsed = (time.perf_counter() - began) * 1000
        if value != truth:
            raise SystemExit(f"a restored process answered {value!r}, not {truth!r}")
        return elapsed


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    os.waitpid(pid, 0)
