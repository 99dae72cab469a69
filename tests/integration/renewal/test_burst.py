"""A hundred instances at once of one service, which draw from every generator that we renew."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from instances import PATIENCE, PYTHON, call, make_root, restoring, started
from proving import ENGINES

from bentofn.adapters.local.engines import (
    Engine,
    InstanceSpec,
    Launch,
    TemplateEngine,
    find_python,
)
from bentofn.packager.home import Home
from bentofn.packager.snapshot.obtain import Subject

from .test_restores import shared, streams

AT_ONCE = 100


@asynccontextmanager
async def engine_of(kind: str, folder: Path) -> AsyncIterator[Engine]:
    root = make_root(folder / "root", streams(torch=True), "Streams")
    with tempfile.TemporaryDirectory(prefix="bfn") as sockets:
        given = {"PATH": os.environ["PATH"]}
        launch = Launch(root, find_python(PYTHON), given, Path(sockets), lambda *_: None)
        if kind == "criu":
            subject = Subject("test:1", str(root), root, launch.python, launch.environment(), {})
            async with restoring(launch, subject, Home(folder / "home")) as restored:
                yield restored
        else:
            template = TemplateEngine(launch)
            try:
                yield template
            finally:
                await asyncio.wait_for(template.close(), PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENGINES)
async def test_no_two_of_a_hundred_at_once_draw_the_same(kind: str, tmp_path: Path) -> None:
    async with engine_of(kind, tmp_path) as engine:
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        specs = [InstanceSpec(f"i{number}") for number in range(AT_ONCE)]
        instances = await asyncio.gather(*(started(engine, spec) for spec in specs))
        first, again, fresh = [
            await asyncio.gather(*(call(instance, route) for instance in instances))
            for route in ("draw", "draw", "fresh")
        ]
        assert {"torch", "torch generator", "numpy", "numpy generator"} <= first[0].keys()
        assert set(shared([*first, *again])) == {"authkey", "numpy SeedSequence"}, "one a process"
        assert shared(first) == []
        assert shared(fresh) == []
        await asyncio.gather(*(instance.stop(0.0) for instance in instances))
