"""Many instances at once are forks of a template that is restored for them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from instances import PATIENCE, alive, call, parent_of, restoring, started

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.engines import InstanceSpec, find_python
from bentofn.adapters.local.engines.base import Launch
from bentofn.adapters.local.engines.restored.bursts import LEAST
from bentofn.adapters.local.engines.restored.criu import CriuEngine
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.obtain import Subject

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
    root = bento.root.path
    with tempfile.TemporaryDirectory(prefix="bfn") as sockets:
        env = {"PATH": os.environ["PATH"]}
        launch = Launch(root, python, env, Path(sockets), lambda *_: None)
        environment = launch.environment()
        subject = Subject(bento.tag, bento.digest, root, python, environment, bento.manifest.envs)
        async with restoring(launch, subject, home) as engine:
            yield engine


def named(name: str) -> InstanceSpec:
    return InstanceSpec(name, {"BENTOFN_INSTANCE": name})


async def built(folder: Path, code: str) -> tuple[LocalBento, Home]:
    project, home = folder / "project", Home(folder / "home")
    project.mkdir()
    (project / "service.py").write_text(code)
    (project / "bentofile.yaml").write_text("service: service:Service\n")
    made = await asyncio.to_thread(build, project, home, BuildOptions(), lambda _: None)
    return resolve_bento(home, made.tag), home


async def test_a_burst_is_forked_from_a_template_that_was_restored(
    criu: Criu, tmp_path: Path
) -> None:
    bento, home = await built(tmp_path, SERVICE)
    async with engine_of(bento, home) as engine:
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        alone = await started(engine, named("alone"))
        assert parent_of(alone.pid) == os.getpid()
        names = [f"i{number}" for number in range(LEAST)]
        burst = await asyncio.gather(*(started(engine, named(name)) for name in names))
        drawn = await asyncio.gather(*(call(instance, "draw") for instance in [*burst, alone]))
        assert [name for _, name in drawn] == [*names, "alone"]
        assert len({number for number, _ in drawn}) == LEAST + 1
        (template,) = {parent_of(instance.pid) for instance in burst}
        assert parent_of(template) == os.getpid()

        await asyncio.wait_for(burst[0].stop(10), PATIENCE)
        assert await burst[0].wait() == 0
        os.kill(template, signal.SIGKILL)
        for instance in burst[1:]:
            await asyncio.wait_for(instance.wait(), PATIENCE)
        assert (await call(alone, "draw"))[1] == "alone"
        after = await started(engine, named("after"))
        assert parent_of(after.pid) == os.getpid()

        again = await asyncio.gather(*(started(engine, named(f"again{n}")) for n in range(LEAST)))
        (second,) = {parent_of(instance.pid) for instance in again}
        assert second != template
        await asyncio.gather(*(instance.stop(10) for instance in again))
        while alive(second):  # noqa: ASYNC110 - it ends by itself with the last
            await asyncio.sleep(0.05)
    assert not any(alive(instance.pid) for instance in (alone, after))


async def test_a_service_with_threads_is_restored_in_a_burst_too(
    criu: Criu, tmp_path: Path
) -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,), daemon=True)"
    bento, home = await built(tmp_path, f"{SERVICE}\n{thread}.start()\n")
    async with engine_of(bento, home) as engine:
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        for turn in "ab":
            names = [f"{turn}{number}" for number in range(LEAST)]
            burst = await asyncio.gather(*(started(engine, named(name)) for name in names))
            assert {parent_of(instance.pid) for instance in burst} == {os.getpid()}


async def test_a_template_that_failed_once_is_tried_again(criu: Criu, tmp_path: Path) -> None:
    bento, home = await built(tmp_path, SERVICE)
    numbers = itertools.count()

    async def forked(engine: CriuEngine) -> bool:
        specs = [named(f"i{next(numbers)}") for _ in range(LEAST)]
        tried = await asyncio.gather(*(started(engine, s) for s in specs), return_exceptions=True)
        burst = [each for each in tried if not isinstance(each, BaseException)]
        parents = {parent_of(instance.pid) for instance in burst}
        await asyncio.gather(*(instance.stop(10) for instance in burst))
        return bool(parents) and os.getpid() not in parents

    async with engine_of(bento, home) as engine:
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        (core,) = home.snapshots.glob("*/images/core-1.img")
        away = core.rename(tmp_path / "core")
        assert not await forked(engine)
        away.rename(core)
        for _ in range(100):
            if await forked(engine):
                return
            await asyncio.sleep(0.1)
        pytest.fail("it was not tried again")
