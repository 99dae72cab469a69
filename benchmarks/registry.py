"""A registry on loopback that counts what leaves it, by its own access log."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Registry:
    """A running registry.

    Args:
        address: ``host:port``.
        log: Its access log, one JSON object a line.
    """

    address: str
    log: Path

    def sent(self) -> int:
        """Bytes of all the answers to GET so far."""
        total = 0
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("http.request.method") == "GET":
                    total += int(entry.get("http.response.written", 0))
        return total


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Registry]:
    """Debian's docker-registry with an empty store.

    Args:
        folder: Where its blobs and its log go.
    """
    program = shutil.which("docker-registry")
    if program is None:
        raise SystemExit("docker-registry is not installed: apt-get install docker-registry")
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "json"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))  # JSON is YAML
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, "serve", str(folder / "config.json")], stdout=output, stderr=output
        ) as process,
    ):
        try:
            _wait(address, process)
            yield Registry(address, log)
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(f"http://{address}/v2/", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("docker-registry did not start")
