"""A first answer to be traced: an instance is started as a platform would, asked, and ended."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bentofn.packager.contract import IMPORT_LIMIT
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.protocol import Decoder, Failed, ProtocolError, Ready

THREADS = 2
"""Compute threads of the instance: the code that shares work among threads is traced too."""

STOP_LIMIT = 20.0
"""Seconds in which it ends when it is asked to."""


def start_once(interpreter: Path, root: Path, environment: Mapping[str, str]) -> None:
    """Start a service, which answers its examples before it serves, ask whether it lives, stop it.

    Args:
        interpreter: What runs it.
        root: Its root.
        environment: Its whole environment.

    Raises:
        UserError: It does not start; the sentence says why.
    """
    control, remote = socket.socketpair()
    with (
        control,
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryFile() as output,
    ):
        command = [str(interpreter), "-I", "-S", "-u", str(BentoRoot(root).boot_script)]
        command += ["instance", "--listen-fd", str(listener.fileno())]
        command += ["--control-fd", str(remote.fileno()), "--threads", str(THREADS)]
        with remote:
            process = subprocess.Popen(
                command,
                env={**environment, "BENTOFN_ROOT": str(root)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[listener.fileno(), remote.fileno()],
            )
        try:
            failure = _wait(control)
            if failure is None:
                _ask(listener.getsockname()[1])
        finally:
            _stop(process)
        if failure is not None:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()
            raise UserError(failure or (lines[-1][:300] if lines else "its process ended"))


def _wait(control: socket.socket) -> str | None:
    """Wait until it serves; else what it says, or nothing if it just ended."""
    control.settimeout(IMPORT_LIMIT)
    decoder = Decoder()
    try:
        while data := control.recv(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Ready):
                    return None
                if isinstance(message, Failed):
                    return message.error
    except (OSError, ProtocolError):
        return f"it did not serve within {IMPORT_LIMIT} s"
    return ""


def _ask(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=IMPORT_LIMIT)
    try:
        connection.request("GET", "/livez")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"it does not answer ({type(error).__name__})") from error
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
