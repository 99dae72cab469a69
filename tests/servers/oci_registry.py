"""The registry that most others are made from, on loopback."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BINARY = shutil.which("docker-registry") or shutil.which("registry")
HTPASSWD = "me:$2y$05$pLerPKTeo6mxUP2Dx/WIEuQZsmSkEkBgFJ34cFrfXWjYcrUtprhqm\n"  # secret
"""Made with `htpasswd -nbB me secret`."""


@contextlib.contextmanager
def running(
    folder: Path, *, login: bool = False, host: str = "127.0.0.1", tls: bool = False
) -> Iterator[str]:
    """A registry on this machine; gives its address."""
    with socket.create_server((host, 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    if login:
        (folder / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tls:
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        _make_certificate(host, certificate, key)
        config["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
    (folder / "config.json").write_text(json.dumps(config))  # JSON is YAML
    command = [str(BINARY), "serve", str(folder / "config.json")]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(address, process, folder / "log")
            yield address
        finally:
            process.terminate()


def _make_certificate(host: str, certificate: Path, key: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=IP:{host}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"http://{address}/v2/", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it wants a login, or HTTPS
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the registry did not start: {log.read_text()}")
