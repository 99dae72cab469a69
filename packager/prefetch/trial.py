"""A first answer to be traced: an instance is started as a platform would, asked, and ended."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bentofn.packager.code.contract import IMPORT_LIMIT
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest
from bentofn.runtime.protocol import Decoder, Failed, ProtocolError, Ready

THREADS = 2
"""Compute threads of the instance: the code that shares work among threads is traced too."""

STOP_LIMIT = 20.0
"""Seconds in which it ends when it is asked to."""

AT_ONCE = 4
"""Requests of each example that are sent at once, so that what joins them is traced too."""


def start_once(interpreter: Path, root: Path, environment: Mapping[str, str]) -> None:
    """Start a service, which answers its examples before it serves; send them to it again; stop it.

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
                _ask(listener.getsockname()[1], BentoManifest.read(BentoRoot(root).manifest))
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


def _ask(port: int, manifest: BentoManifest) -> None:
    """Ask as callers do, several at once.

    Raises:
        UserError: It does not answer at all.
    """
    _send(port, "GET", "/livez", None)
    requests = [
        (f"{manifest.contract.path_prefix}{api.route}", json.dumps(example).encode())
        for api in manifest.contract.apis
        for example in api.examples
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for path, body in requests:
            # What it says is of no interest: these bodies were answered before it served.
            list(pool.map(lambda _, p=path, b=body: _send(port, "POST", p, b), range(AT_ONCE)))


def _send(port: int, method: str, path: str, body: bytes | None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=IMPORT_LIMIT)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
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
