"""A function on a platform of its own, for tests that start, kill and count what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from instances import PATIENCE, eventually
from traces import Traces

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import CriuUnfit, find_criu
from bentofn.packager.snapshot.criu.check import why_unfit

SERVICE = """
import os, random, ssl, subprocess, tempfile, time, uuid
import bentofn
import numpy as np

@bentofn.service(name="proof")
class Proof:
    def __init__(self) -> None:
        self.own, self.generator = random.Random(), np.random.default_rng()
        self.memory = bytearray(os.urandom(1 << 20)) * 100

    @bentofn.api(examples=[{"number": 1}])
    def draw(self, number: int) -> dict:
        return {
            "square": number * number,
            "streams": [random.random(), self.own.random(), np.random.random(),
                        self.generator.random(), ssl.RAND_bytes(8).hex(), tempfile.mktemp(),
                        str(uuid.uuid1()), str(uuid.uuid4()), os.urandom(8).hex()],
        }

    @bentofn.api
    def leave(self) -> int:
        return subprocess.Popen(["sleep", "86399"], start_new_session=True).pid

    @bentofn.api
    def grow(self, megabytes: int) -> int:
        return len(bytearray(os.urandom(1 << 20)) * megabytes)

    @bentofn.api
    def spy(self, sockets: str, home: str) -> dict:
        import ctypes, signal
        libc = ctypes.CDLL(None, use_errno=True)
        others = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        reached = []
        own = {int(name) for name in os.listdir("/proc/self/task")}
        for pid in set(range(1, 400)) - own:
            local = ctypes.create_string_buffer(8)
            one = (ctypes.c_void_p * 2)(ctypes.addressof(local), 8)
            if libc.process_vm_readv(pid, one, 1, one, 1, 0) > 0 or libc.ptrace(16, pid, 0, 0) == 0:
                reached.append(pid)
        try:
            os.kill(-1, signal.SIGTERM)
            killed = "somebody"
        except ProcessLookupError:
            killed = "nobody"
        def listed(path):
            try:
                return os.listdir(path)
            except OSError as error:
                return error.errno
        def tried(function, *arguments):
            try:
                function(*arguments)
            except OSError:
                return "refused"
            return "done"
        return {
            "others": others, "reached": reached, "killed": killed,
            "sockets": listed(sockets),
            "run": listed(home + "/run"), "snapshots": listed(home + "/snapshots"),
            "deployments": os.path.getsize(home + "/deployments.db"),
            "limits": tried(open, "/sys/fs/cgroup/memory/cgroup.procs", "w"),
            "system": tried(open, "/proc/sys/kernel/hostname", "w"),
            "unmounted": libc.umount2((home + "/run").encode(), 2),
        }
"""

BENTOFILE = "service: service:Proof\nname: proof\npython: {packages: [numpy]}\n"
PROJECT = {"service.py": SERVICE, "bentofile.yaml": BENTOFILE}


def why_no_criu() -> str | None:
    """Why there is no fit CRIU; None where there is."""
    try:
        return why_unfit(find_criu())
    except CriuUnfit as error:
        return str(error)


NO_CRIU = why_no_criu()
ENGINES = [
    "template",
    pytest.param("criu", marks=pytest.mark.skipif(NO_CRIU is not None, reason=str(NO_CRIU))),
]


@dataclass
class Deployed:
    """A function on a platform of its own."""

    home: Home
    adapter: LocalAdapter

    @property
    def pid(self) -> int | None:
        endpoint = daemon.status(self.home)
        return endpoint.pid if endpoint else None

    @property
    def status(self) -> FunctionStatus:
        return self.adapter.status("proof")[0]

    def deploy(self, **chosen: Any) -> FunctionStatus:
        self.adapter.apply(
            FunctionSpec("proof", "proof", FunctionSettings(**chosen)), lambda _: None
        )
        return self.status

    def call(self, route: str, **body: Any) -> tuple[int, dict[str, str], Any]:
        """The answer's status, headers and document."""
        endpoint = daemon.ensure_running(self.home, 0)
        connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/proof/{route}", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def draw(self, number: int) -> tuple[str, list[str]]:
        """A start's kind, and what a correct answer drew."""
        status, headers, answer = self.call("draw", number=number)
        assert (status, answer.get("square")) == (200, number * number), answer
        return headers["X-Bentofn-Start"], [str(stream) for stream in answer["streams"]]

    def traces(self) -> Traces:
        roots = str(self.home.path)
        return Traces.of(self.home.path, (roots,), self.pid)

    def at_zero(self) -> None:
        eventually(lambda: self.status.state == "zero")

    def nothing_more_than(self, before: Traces) -> None:
        """Wait until all that came since has gone."""
        found: dict[str, list[str]] = {}

        def clean() -> bool:
            found.clear()
            found.update(self.traces().more_than(before))
            return not found

        with contextlib.suppress(AssertionError):
            eventually(clean, 20.0)
        assert not found, found


def processes(*marks: str) -> list[int]:
    """Processes by parts of their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_text(errors="replace").replace("\0", " ")
            if all(mark in command for mark in marks):
                found.append(int(entry.name))
    return found


def kill(pid: int | None) -> None:
    """Kill a process and wait until it has ended: until then it may take a request."""
    if not pid:
        return
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            assert select.select([process], [], [], PATIENCE)[0], "it did not end"
        finally:
            os.close(process)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def afresh(deployed: Deployed, engine: str) -> None:
    """Start the platform anew and wait until it has done what it does unasked."""
    daemon.stop(deployed.home)
    daemon.start(deployed.home, 0)
    deployed.draw(1)
    eventually(lambda: deployed.status.snapshot == engine)
    deployed.at_zero()
