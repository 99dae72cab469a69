"""Who may connect to the sockets by which a bento's services call each other."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bentofn
from bentofn.runtime.asgi import configure
from bentofn.runtime.http.serving import Server
from bentofn.runtime.proxy.peers import only_own_user

NOBODY = 65534
ASK = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect(sys.argv[1])
try:
    connection.sendall(b"GET /livez HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n")
    print(connection.recv(1 << 16).decode().partition("\\r\\n")[0])
except (BrokenPipeError, ConnectionResetError):
    print()
"""


@bentofn.service
class Lively:
    pass


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that every user may connect to."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        Path(name).chmod(0o755)
        listener.bind(f"{name}/s")
        Path(name, "s").chmod(0o777)
        listener.listen()
        yield listener


def ask(path: str, user: int) -> str:
    command = [sys.executable, "-I", "-S", "-c", ASK, path, str(user)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_hung_up_on() -> None:
    async def run() -> tuple[str, str]:
        config = only_own_user(configure(Lively.to_asgi()))
        server = Server(config, lambda: None)
        with listening() as listener:
            serving = asyncio.create_task(server.serve([listener]))
            path = listener.getsockname()
            own = await asyncio.to_thread(ask, path, 0)
            other = await asyncio.to_thread(ask, path, NOBODY)
            server.stop()
            await serving
        return own, other

    own, other = asyncio.run(run())
    assert own == "HTTP/1.1 200 OK"
    assert other == ""
