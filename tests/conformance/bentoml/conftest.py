"""Every case served twice: by stock BentoML and by bentofn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from stock_bentoml import stock_python

from bentofn.runtime.errors import UserError

HERE = Path(__file__).parent
PATIENCE = 60.0


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """The port of each case at stock BentoML, which starts it when it is asked for first."""
    folder = tmp_path_factory.mktemp("stock")
    try:
        python = stock_python(folder / "home")
    except UserError as reason:
        pytest.skip(f"stock BentoML cannot be had: {reason}")
    command = [str(python), str(HERE / "serve_stock.py"), str(HERE / "cases")]
    environment = {**os.environ, "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        )
    with process:
        yield Stock(process)
        assert process.stdin is not None
        process.stdin.close()  # at which it ends what it has started, and itself
        process.wait(PATIENCE)


class Stock(dict[str, int]):
    """Cases to their ports; a case is started when it is asked for.

    Args:
        process: What starts them.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__()
        self._process = process

    def __missing__(self, case: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case}\n")
        self._process.stdin.flush()
        self[case] = int(self._process.stdout.readline())
        return self[case]


@pytest.fixture
def ours(case: str, tmp_path: Path) -> Iterator[int]:
    """The port of a case at bentofn."""
    command = [sys.executable, "-m", "bentofn", "serve", f"{case}:Case", "--port", "0"]
    command += ["--working-dir", str(HERE / "cases")]
    with socket.create_server(("127.0.0.1", 0)) as spare:
        port = str(spare.getsockname()[1])
    environment = {
        **os.environ,
        "BENTOFN_HOME": str(tmp_path / "home"),
        "BENTOFN_STATE": str(tmp_path / "state"),
        "PYTHONUNBUFFERED": "1",
        "CASE_FOLDER": str(tmp_path),
        "CASE_PORT": port,
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    try:
        yield _port(process, log)
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    running = True
    while running and time.monotonic() < deadline:
        running = process.poll() is None
        for line in log.read_text().splitlines():
            if " serves at http://" in line:
                return int(line.partition(" serves at http://")[2].split()[0].rpartition(":")[2])
        time.sleep(0.02)
    pytest.fail(f"the case does not start: {log.read_text()[-2000:]}")
