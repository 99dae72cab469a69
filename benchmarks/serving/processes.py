"""A server and its processes: started on one core, asked, weighed, ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoml_serve import CONTAINED

PAUSE = 0.002
TIMEOUT = 180.0


@dataclass(frozen=True)
class Request:
    """A call and what makes its answer right.

    Args:
        route: The path without its slash.
        body: JSON.
        is_right: Whether a decoded answer is right.
    """

    route: str
    body: bytes
    is_right: Callable[[Any], bool]


@dataclass(frozen=True)
class Server:
    """A server that has answered.

    Args:
        process: Its first process.
        port: Where it listens.
        first_answer: Milliseconds from its start to its first right answer.
    """

    process: subprocess.Popen[bytes]
    port: int
    first_answer: float

    def check(self, requests: Sequence[Request]) -> None:
        """Send requests at once.

        Raises:
            SystemExit: One is answered wrongly, another's answer for instance.
        """
        with ThreadPoolExecutor(len(requests)) as pool:
            wrong = [
                (status, body)
                for request, (status, body) in zip(
                    requests, pool.map(lambda each: _ask(self.port, each), requests), strict=True
                )
                if status != 200 or not request.is_right(json.loads(body))
            ]
        if wrong:
            raise SystemExit(f"{len(wrong)} of {len(requests)} answers are wrong: {wrong[0]!r}")

    def proportional_megabytes(self) -> float:
        """Memory of the process tree; what is shared is divided among those who share it."""
        return sum(_pss(pid) for pid in _tree(self.process.pid)) / 1e6

    def mapped_files(self) -> set[Path]:
        """The files that the process tree maps."""
        found: set[str] = set()
        for pid in _tree(self.process.pid):
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
                found |= {line.split(maxsplit=5)[-1] for line in lines if "/" in line}
        return {Path(each) for each in found if Path(each).is_file()}


def forget(files: Iterable[Path]) -> None:
    """Drop files from the page cache.

    How many of their pages a process maps depends on how they came there: the kernel maps what was
    written in large pieces by 2 MiB, needed or not. Read again, they are alike for everybody.
    """
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def serving(
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
    folder: Path,
    core: int,
    request: Request,
) -> Iterator[Server]:
    """Start a server, wait for its first right answer, and end all of its processes afterwards.

    Args:
        command: The command line for a port.
        environment: Added to this process's.
        folder: The working directory.
        core: The only core of its processes.
        request: What it is asked.

    Raises:
        SystemExit: It does not answer.
    """
    port = _free_port()
    contained = CONTAINED if os.geteuid() == 0 else ()
    log = folder / "server.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*contained, "taskset", "-c", str(core), *command(port)],
            cwd=folder,
            env={**_surroundings(), **environment, "PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(process, port, request, log)
        yield Server(process, port, (time.perf_counter() - began) * 1000)
    finally:
        _end(process)


def _surroundings() -> dict[str, str]:
    """This process's variables, without the one that has modules compiled anew at every start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _await(process: subprocess.Popen[bytes], port: int, request: Request, log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    last = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            status, body = _ask(port, request)
            last = f"{status}: {body[:300]!r}"
            if status == 200 and request.is_right(json.loads(body)):
                return
        time.sleep(PAUSE)
    raise SystemExit(f"the server did not answer ({last}): {log.read_text()[-3000:]}")


def _ask(port: int, request: Request) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/{request.route}", request.body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pid in _tree(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _tree(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
