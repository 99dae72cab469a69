"""Instances of engines, as tests start them, call them and look at their processes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import bentofn
from bentofn.adapters.local.engines import (
    CriuEngine,
    Engine,
    Instance,
    InstanceSpec,
    Launch,
    Restorer,
)
from bentofn.packager.home import Home
from bentofn.packager.snapshot.obtain import Subject
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.manifest import BentoManifest, ServiceContract

PATIENCE = 60.0  # seconds; a bound for a busy machine, not a claim
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

T = TypeVar("T")


def make_root(folder: Path, code: str, name: str = "Service") -> Path:
    """A bento's root made by hand: the project's code, and links to this checkout."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "service.py").write_text(code)
    (folder / "runtime").mkdir()
    (folder / "runtime" / "bentofn").symlink_to(Path(bentofn.__file__).parent)
    (folder / "env").symlink_to(sysconfig.get_path("purelib"))
    contract = ServiceContract(name=name, import_string=f"service:{name}")
    manifest = BentoManifest("test", "1", contract, PYTHON, "linux/amd64")
    (folder / "bento.json").write_bytes(manifest.to_json())
    return folder


async def started(engine: Engine, spec: InstanceSpec) -> Instance:
    """An instance that is ready."""
    instance = await asyncio.wait_for(engine.start(spec), PATIENCE)
    await asyncio.wait_for(instance.ready(), PATIENCE)
    return instance


@asynccontextmanager
async def restoring(
    launch: Launch, subject: Subject, home: Home, timeout: float = PATIENCE
) -> AsyncIterator[CriuEngine]:
    """An engine that restores, on workers of its own."""
    restorer = Restorer(SnapshotStore(home))
    engine = CriuEngine(launch, subject, restorer, timeout)
    try:
        yield engine
    finally:
        await asyncio.wait_for(engine.close(), PATIENCE)
        await asyncio.wait_for(restorer.close(), PATIENCE)


async def call(instance: Instance, route: str, **body: object) -> Any:
    """What it answers: JSON, else text."""
    reader, writer = await asyncio.open_unix_connection(str(instance.socket_path))
    data = json.dumps(body).encode()
    head = f"POST /{route} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    answered, _, content = answer.partition(b"\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 200"), answer
    if b"transfer-encoding: chunked" in answered.lower():
        content = b"".join(content.split(b"\r\n")[1::2])
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


class Lines:
    """What the instances wrote."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def __call__(self, instance_id: str, stream: str, line: str) -> None:
        self.seen.append((instance_id, stream, line))

    async def expect(self, *line: str) -> None:
        """Wait for a line of an instance's stream."""
        while line not in self.seen:  # noqa: ASYNC110 - bounded by the caller
            await asyncio.sleep(0.01)

    async def heard(self, text: str) -> None:
        """Wait for a line, whoever wrote it."""
        while text not in [line for _, _, line in self.seen]:  # noqa: ASYNC110 - bounded outside
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    stat = _stat(pid)
    return bool(stat) and stat[0] not in "ZX"


def holding(links: Iterable[str]) -> list[int]:
    """Processes but this one that hold one of these sockets, by what they are called.

    Other files are let pass: their names are those of others' once they are closed.
    """
    wanted, found = {link for link in links if link.startswith("socket:")}, []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            held = {str(link.readlink()) for link in process.glob("fd/*")}
            if held & wanted and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def parent_of(pid: int) -> int | None:
    """A process's parent, as this process sees it; None once it has ended."""
    stat = _stat(pid)
    return int(stat[1]) if stat else None


def _stat(pid: int) -> list[str]:
    """What proc(5) says of a process from its state on; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def eventually(check: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """Wait until something is so; gives it."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found
