"""Containers of runc's that hold a service and are checkpointed with CRIU, from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.snapshot.criu.binary import CriuUnfit, find_criu

SYSTEM = ("bin", "etc", "lib", "lib64", "sbin", "usr")
"""What a root has of this machine's: directories, or links where they are links here."""

SERVICE = """\
import random

import bentofn


@bentofn.service
class Dice:
    def __init__(self):
        self.seen = ["construct"]
        self.own = random.Random(7)

    @bentofn.before_snapshot
    def close(self):
        self.seen.append("before_snapshot")

    @bentofn.after_restore
    async def open(self):
        self.seen.append("after_restore")

    @bentofn.on_startup
    def started(self):
        self.seen.append("on_startup")

    @bentofn.api(examples=[{}])
    def throw(self) -> dict:
        return {"seen": self.seen, "thrown": [random.random(), self.own.random()]}
"""


@dataclass
class Container:
    """A container.

    Args:
        name: Its name.
        process: ``runc``, which lives as long as it does.
        end: Ends it.
    """

    name: str
    process: subprocess.Popen[str]
    end: Callable[[], None]

    def say(self, words: str) -> str:
        """Read what it writes up to a line with these words; gives that line."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            if words in line:
                return line
            said += line
        raise AssertionError(said)


class Runc:
    """Runs, checkpoints and restores containers of one bundle.

    Args:
        folder: For the bundle and runc's own files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runc = ["runc", "--root", str(folder / "runc")]
        criu = find_criu().path.parent
        self._environ = {**os.environ, "PATH": f"{criu}:{os.environ['PATH']}"}

    def run(
        self,
        command: list[str],
        env: Mapping[str, str],
        *,
        io_uring: bool,
        reads: Sequence[Path] = (),
    ) -> Container:
        """Start a container.

        Args:
            command: What runs in it.
            env: Its variables.
            io_uring: Whether it may use that; CRIU cannot dump a running uvloop's.
            reads: Folders that it sees beside this repository, its Python and the project.
        """
        forbidden = [] if io_uring else ["io_uring_setup"]  # as usual profiles have it
        _write_bundle(self._folder / "bundle", command, env, forbidden, reads)
        return self._start("run", "original")

    def checkpoint(self, container: Container) -> None:
        """Keep a container's memory, and end it."""
        command = [*self._runc, "checkpoint", *self._places(), container.name]
        subprocess.run(command, check=True, env=self._environ, timeout=60)
        container.process.wait(10)

    def restore(self, name: str) -> Container:
        """Have a container go on from what was kept; as often as wanted."""
        return self._start("restore", name, *self._places())

    def pid(self, container: Container) -> int:
        """The first process of a container, as this machine numbers it."""
        command = [*self._runc, "state", container.name]
        for _ in range(500):
            state = subprocess.run(command, check=False, capture_output=True, timeout=60)
            if state.returncode == 0 and (pid := json.loads(state.stdout)["pid"]):
                return int(pid)
            time.sleep(0.02)
        raise AssertionError(f"{container.name} does not run")

    def holds(self, data: bytes) -> bool:
        """Whether these bytes are in the memory that was kept."""
        return any(data in file.read_bytes() for file in self._folder.glob("images/pages-*.img"))

    def _places(self) -> list[str]:
        return [f"--image-path={self._folder}/images", f"--work-path={self._folder}/work"]

    def _start(self, verb: str, name: str, *options: str) -> Container:
        place = [f"--bundle={self._folder}/bundle", *options, name]
        process = subprocess.Popen(
            [*self._runc, verb, *place], env=self._environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

        def end() -> None:
            kill = [*self._runc, "delete", "--force", name]
            subprocess.run(kill, check=False, capture_output=True, timeout=60)
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()

        return Container(name, process, end)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where runc cannot run containers."""
    runc = Runc(tmp_path_factory.mktemp("runs"))
    tried = runc.run(["true"], {"PATH": os.defpath}, io_uring=True)
    said, _ = tried.process.communicate(timeout=60)
    tried.end()
    if tried.process.returncode != 0:
        pytest.skip(f"runc cannot run containers here: {said[-300:]}")


@pytest.fixture
def runc(tmp_path: Path, runs: None) -> Runc:
    """runc, with a bundle of its own."""
    return Runc(tmp_path)


@pytest.fixture
def ended() -> Iterator[Callable[[Container], Container]]:
    """Has a container ended with the test."""
    containers: list[Container] = []

    def with_test(container: Container) -> Container:
        containers.append(container)
        return container

    yield with_test
    for each in containers:
        each.end()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A service that throws dice and tells which of its hooks ran."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "service.py").write_text(SERVICE)
    return folder


def why_not() -> str:
    """What this machine lacks for such containers; empty where it lacks nothing."""
    if os.geteuid() != 0:
        return "containers are made by root"
    if shutil.which("runc") is None:
        return "runc is not installed (apt-get install runc)"
    try:
        find_criu()
    except CriuUnfit as reason:
        return str(reason)
    return ""


def ask(port: int, api: str, body: bytes) -> Any:
    """What a service answers."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{api}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + 30
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert time.monotonic() < until, "nobody listens"
        time.sleep(0.02)


def free_port() -> int:
    """A port of this machine, whose network the containers have."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _write_bundle(
    folder: Path,
    command: list[str],
    env: Mapping[str, str],
    forbidden: Sequence[str],
    reads: Sequence[Path],
) -> None:
    root = folder / "rootfs"
    root.mkdir(parents=True)
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
    ]
    repository = Path(__file__).parents[3]
    (folder.parent / "project").mkdir(exist_ok=True)
    seen = {Path(sys.base_prefix), Path(sys.prefix), repository, folder.parent / "project", *reads}
    for name in SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            (root / name).symlink_to(path.readlink())
        elif path.is_dir():
            seen.add(path)
    for path in sorted(seen):
        if not any(other in path.parents for other in seen):
            bind = {"type": "bind", "source": str(path), "options": ["bind", "ro"]}
            mounts.append({"destination": str(path), **bind})
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": command,
            "env": [f"{name}={value}" for name, value in env.items()],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": mounts,
        "linux": {
            "cgroupsPath": f"bentofn-{folder.parent.name}",
            "namespaces": [{"type": each} for each in ("pid", "mount", "ipc", "uts")],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": [each], "action": "SCMP_ACT_ERRNO"} for each in forbidden],
            },
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
