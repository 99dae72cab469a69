"""A process that answers one request."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from bentofn.adapters.protocol import Reply
from bentofn.packager.archive import import_bento
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn_folder.functions import Stored

START_TIMEOUT = 60.0
"""Seconds that a process may take to serve."""

_POLL = 0.02


def answer(version: Stored, archive: Path, home: Home, log: Path, body: bytes, api: str) -> Reply:
    """Have a process of a version's answer a request, and end it.

    Args:
        version: The version.
        archive: Its bento's file.
        home: Where the bento is unpacked; one that is not there any more is put there again.
        log: What the process writes is added to it.
        body: The request's body, JSON.
        api: The endpoint; empty for the only one.

    Raises:
        UserError: It does not start, or has no such endpoint.
    """
    store = Store(home)
    entry = store.find("bento", version.spec.bento) or import_bento(store, archive)
    contract = store.bento(entry).contract
    routes = {each.name: contract.path_prefix + each.route for each in contract.apis}
    if api not in routes and (api or len(routes) != 1):
        raise UserError(f"{version.spec.name} has these endpoints: {', '.join(routes)}; name one.")
    route = routes[api] if api else next(iter(routes.values()))
    port = _free_port()
    command = [sys.executable, "-m", "bentofn", "serve", entry.tag]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, **version.spec.settings.environment, "BENTOFN_HOME": str(home.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, trust_env=False) as client:
            _wait(client, process, version.spec.name)
            headers = {"content-type": "application/json"}
            timeout = version.spec.settings.timeout
            try:
                reply = client.post(route, content=body, headers=headers, timeout=timeout)
            except httpx.TimeoutException:
                return Reply(504, {}, iter([b"The function took too long."]))
            names = {name.lower(): value for name, value in reply.headers.items()}
            return Reply(reply.status_code, names, iter([reply.content]))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate()
        _append(log, version.number, output)


def _wait(client: httpx.Client, process: subprocess.Popen[str], name: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(_POLL)
    raise UserError(f"{name} does not start; bentofn logs {name} --target folder shows why.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _append(log: Path, number: int, output: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        for line in output.splitlines():
            file.write(json.dumps({"ts": time.time(), "instance": f"v{number}", "line": line}))
            file.write("\n")
