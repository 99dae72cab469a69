"""Restores of one image by the real CRIU, each asked over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from instances import PATIENCE, PYTHON, make_root

from bentofn.adapters.local.engines import find_python
from bentofn.adapters.local.engines.sockets import listen
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.rpc import Restored
from bentofn.packager.snapshot.criu.worker import prime
from bentofn.packager.snapshot.snapshot import IMAGES
from bentofn.packager.snapshot.take import take
from bentofn.runtime.protocol import (
    RESTORE_FDS,
    Failed,
    Message,
    Ready,
    Restore,
    decode,
    encode,
)


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("instance", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Image:
    """A snapshot that was taken.

    Args:
        criu: What restores it.
        images: Its directory.
        scratch: Where sockets and logs may stand.
        env: The environment at the snapshot.
    """

    criu: Criu
    images: Path
    scratch: Path
    env: Mapping[str, str]

    def restore(self, calls: tuple[str, ...] = (), **env: str) -> list[Any]:
        """Restore it, call some routes, and kill it.

        Args:
            calls: The routes.
            **env: Variables beside those of the snapshot.

        Returns:
            What each route answered; one ``Failed`` where it did not start.
        """
        address = self.scratch / "s"
        request = Restore("instance", "one", 1, {**self.env, **env}, private_mounts=True)
        with self._restored(request, address) as message:
            if isinstance(message, Failed):
                return [message]
            assert isinstance(message, Ready), message
            return [_call(address, route) for route in calls]

    def log(self) -> str:
        """What the last restored process wrote."""
        return (self.scratch / "log").read_text()

    @contextmanager
    def _restored(self, request: Restore, address: Path) -> Iterator[Message]:
        address.unlink(missing_ok=True)
        worker = prime(self.criu.command)
        control, remote = socket.socketpair()
        with control, listen(address) as listener, (self.scratch / "log").open("w") as log:
            given = {"listen": listener, "control": remote, "stdout": log, "stderr": log}
            fds = [given[name].fileno() for name in RESTORE_FDS[request.kind]]
            socket.send_fds(worker.wire, [encode(request)], fds)
            remote.close()
            worker.request(self.images)
            response = worker.response(self.images, PATIENCE)
            assert isinstance(response, Restored), (response, worker.errors())
            worker.release()
            worker.wire.close()
            try:
                control.settimeout(PATIENCE)
                with control.makefile("rb") as lines:
                    yield decode(lines.readline())
            finally:
                os.kill(response.pid, signal.SIGKILL)
                os.waitpid(response.pid, 0)


def _call(address: Path, route: str) -> Any:
    connection = _Connection(address)
    connection.request("POST", f"/{route}", b"{}", {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return json.loads(body)


TakeImage = Callable[..., Image]


@pytest.fixture(scope="module")
def take_image(criu: Criu, tmp_path_factory: pytest.TempPathFactory) -> TakeImage:
    """Takes a snapshot of a service, given its code and its name."""

    def run(code: str, name: str, env: Mapping[str, str] | None = None) -> Image:
        scratch = tmp_path_factory.mktemp("image")
        root, snapshot = scratch / "root", scratch / "snapshot"
        make_root(root, code, name)
        snapshot.mkdir()
        said: list[tuple[str, str]] = []
        given = {"PATH": os.environ["PATH"], **(env or {})}
        log = lambda *line: said.append(line)  # noqa: E731
        take(root, find_python(PYTHON), given, criu, snapshot, snapshot, PATIENCE, log)
        return Image(criu, snapshot / IMAGES, scratch, given)

    return run
