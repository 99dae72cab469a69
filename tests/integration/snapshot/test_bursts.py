"""Many instances at once are forks of a template that is restored for them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.engines import Instance, InstanceSpec, find_python
from bentofn.adapters.local.engines.base import Launch
from bentofn.adapters.local.engines.restored.bursts import LEAST
from bentofn.adapters.local.engines.restored.criu import CriuEngine
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.obtain import Subject
from bentofn.packager.snapshot.store import SnapshotStore

PATIENCE = 60.0
SERVICE = """
import os
import random

import bentofn


@bentofn.service
class Service:
    @bentofn.api(examples=[{}])
    def draw(self) -> list:
        return [random.random(), os.environ.get("BENTOFN_INSTANCE", "")]
"""


@asynccontextmanager
async def engine_of(bento: LocalBento, home: Home) -> AsyncIterator[CriuEngine]:
    python = find_python(bento.manifest.python)
    root, restorer = bento.root.path, Restorer(SnapshotStore(home))
    with tempfile.TemporaryDirectory(prefix="bfn") as sockets:
        env = {"PATH": os.environ["PATH"]}
        launch = Launch(root, python, env, Path(sockets), lambda *_: None)
        environment = launch.environment()
        subject = Subject(bento.tag, bento.digest, root, python, environment, bento.manifest.envs)
        engine = CriuEngine(launch, subject, restorer, PATIENCE)
        try:
            yield engine
        finally:
            await asyncio.wait_for(engine.close(), PATIENCE)
            await asyncio.wait_for(restorer.close(), PATIENCE)


async def started(engine: CriuEngine, name: str) -> Instance:
    spec = InstanceSpec(name, {"BENTOFN_INSTANCE": name})
    instance = await asyncio.wait_for(engine.start(spec), PATIENCE)
    await asyncio.wait_for(instance.ready(), PATIENCE)
    return instance


async def draw(instance: Instance) -> tuple[float, str]:
    reader, writer = await asyncio.open_unix_connection(str(instance.socket_path))
    head = "POST /draw HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    number, name = json.loads(answer.partition(b"\r\n\r\n")[2])
    return number, name


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


async def test_a_burst_is_forked_from_a_template_that_was_restored(
    criu: Criu, tmp_path: Path
) -> None:
    project, home = tmp_path / "project", Home(tmp_path / "home")
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text("service: service:Service\n")
    built = await asyncio.to_thread(build, project, home, BuildOptions(), lambda _: None)
    async with engine_of(resolve_bento(home, built.tag), home) as engine:
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        alone = await started(engine, "alone")
        assert parent_of(alone.pid) == os.getpid()
        names = [f"i{number}" for number in range(LEAST)]
        burst = await asyncio.gather(*(started(engine, name) for name in names))
        drawn = await asyncio.gather(*(draw(instance) for instance in [*burst, alone]))
        assert [name for _, name in drawn] == [*names, "alone"]
        assert len({number for number, _ in drawn}) == LEAST + 1
        (template,) = {parent_of(instance.pid) for instance in burst}
        assert parent_of(template) == os.getpid()

        await asyncio.wait_for(burst[0].stop(10), PATIENCE)
        assert await burst[0].wait() == 0
        os.kill(template, signal.SIGKILL)
        for instance in burst[1:]:
            await asyncio.wait_for(instance.wait(), PATIENCE)
        assert (await draw(alone))[1] == "alone"
        after = await started(engine, "after")
        assert parent_of(after.pid) == os.getpid()

        again = await asyncio.gather(*(started(engine, f"again{n}") for n in range(LEAST)))
        (second,) = {parent_of(instance.pid) for instance in again}
        assert second != template
        await asyncio.gather(*(instance.stop(10) for instance in again))
        while runs(second):  # noqa: ASYNC110 - it ends by itself with the last
            await asyncio.sleep(0.05)
    assert not any(runs(instance.pid) for instance in (alone, after))
