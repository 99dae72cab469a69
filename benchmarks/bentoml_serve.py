"""Stock BentoML's cold start: from ``bentoml serve`` to the first correct answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from services import Subject

TIMEOUT = 120.0
PAUSE = 0.005  # seconds between two tries to connect

CONTAINED = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
"""Its workers lead sessions of their own, and would outlive it: so they end with a namespace."""


@dataclass(frozen=True)
class BentoMLServe:
    """A project that stock BentoML serves.

    Args:
        program: The ``bentoml`` of an environment.
        project: The project.
        subject: What it serves.
        home: A folder for BentoML's state.
    """

    program: Path
    project: Path
    subject: Subject
    home: Path

    def first_reply(self, truth: Any) -> float:
        """Milliseconds from starting the program to its right answer.

        Raises:
            SystemExit: It does not answer, or wrongly.
        """
        port = _free_port()
        environment = {**os.environ, "BENTOML_HOME": str(self.home), "BENTOML_DO_NOT_TRACK": "1"}
        serve = [str(self.program), "serve", "service:Embeddings", "--port", str(port)]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*CONTAINED, *serve],
            cwd=self.project,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            value = self._answer(process, port)
            elapsed = (time.perf_counter() - began) * 1000
        finally:
            _end(process)
        if not np.allclose(value, truth, atol=1e-4):
            raise SystemExit(f"bentoml serve answered {value!r}, not {truth!r}")
        return elapsed

    def _answer(self, process: subprocess.Popen[bytes], port: int) -> Any:
        path, body = self.subject.request
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
            with contextlib.closing(connection), contextlib.suppress(OSError):
                headers = {"Content-Type": "application/json"}
                connection.request("POST", f"/{path}", json.dumps(body), headers)
                response = connection.getresponse()
                payload = response.read()
                if response.status == 200:
                    return json.loads(payload)
            time.sleep(PAUSE)
        raise SystemExit("bentoml serve did not answer")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is contained, and wait until all of it has given its memory back.

    The first process of a namespace ends after all others in it.
    """
    below = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    handles = [os.pidfd_open(int(pid)) for pid in below]
    process.kill()
    process.wait()
    for handle in handles:
        select.select([handle], [], [], TIMEOUT)
        os.close(handle)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
