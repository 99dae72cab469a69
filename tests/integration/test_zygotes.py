"""Zygotes: functions that share their packages start from one process that has imported them.

It runs and forks (``forked``), or is a snapshot that each restores for itself (``kept``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from instances import PATIENCE, alive, call, eventually, started

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.client import Client
from bentofn.adapters.local.engines import (
    EngineRefused,
    InstanceSpec,
    Launch,
    Restorer,
    TemplateEngine,
    find_python,
)
from bentofn.adapters.local.engines.forked.parent import Parent
from bentofn.adapters.local.engines.forked.zygote import ZygoteEngine
from bentofn.adapters.local.engines.forked.zygotes import Zygotes
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.environment import instance_environment
from bentofn.adapters.local.isolation.policy import UNLIMITED
from bentofn.adapters.local.launcher import Launcher
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.zygote import Packages
from bentofn.runtime.layout import BentoRoot

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
WriteWheel = Callable[..., Path]


HEAVY = {
    "heavy/__init__.py": b"import os\nimport heavydep\nMODE = os.getenv('HEAVY_MODE', 'plain')\n",
    "heavy/part.py": b"",
    "heavydep.py": b"",
}
SERVICE = """
import os
import sys
{first}
BEFORE = sorted({{"heavy", "heavy.part", "helper"}} & sys.modules.keys())

import logging
import random
import tempfile

import bentofn
import heavy
import helper

logging.getLogger("heavy").setLevel(helper.LEVEL)


@bentofn.service(name="{name}")
class Service:
    def __init__(self) -> None:
        import heavy.part

    @bentofn.api(examples=[{{}}])
    def look(self) -> dict:
        return {{
            "before": BEFORE,
            "mode": heavy.MODE,
            "helper": helper.NAME,
            "level": logging.getLogger("heavy").level,
            "path": [entry for entry in sys.path if "python3" not in entry],
            "files": [sys.modules[name].__file__ for name in ("heavy", "heavy.part", "bentofn")],
            "spec": [heavy.__spec__.origin, *heavy.__path__, heavy.__spec__.loader.path],
            "main": sys.modules["__main__"].__file__,
            "cwd": os.getcwd(),
            "env": dict(os.environ),
            "random": [random.random(), next(tempfile._get_candidate_names())],
        }}
"""
BENTOFILE = """
service: "service:Service"
name: {name}
python:
  packages: ["heavy=={version}"]
  find_links: [wheels]
exclude: [wheels]
"""


@dataclass(frozen=True)
class Built:
    """A home with the bentos that are started here."""

    home: Home
    tags: Mapping[str, str]

    def bento(self, name: str) -> LocalBento:
        return resolve_bento(self.home, self.tags[name])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, write_wheel: WriteWheel) -> Built:
    base = tmp_path_factory.mktemp("zygotes")
    home = Home(base / "home")

    def make(name: str, version: str) -> BuildResult:
        project = base / name
        for each in ("1.0", "2.0"):
            write_wheel(project / "wheels", "heavy", each, {**HEAVY, "heavy/v.py": each.encode()})
        (project / "service.py").write_text(SERVICE.format(name=name, first=""))
        (project / "helper.py").write_text(f"NAME = {name!r}\nLEVEL = {len(name)}\n")
        (project / "bentofile.yaml").write_text(BENTOFILE.format(name=name, version=version))
        return build(project, home, BuildOptions(), lambda _: None)

    versions = {"alpha": "1.0", "beta_two": "1.0", "other": "2.0"}
    return Built(home, {name: make(name, version).tag for name, version in versions.items()})


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bfn") as directory:
        yield Path(directory)


@dataclass
class Stage:
    """Zygotes and the engines that use them."""

    sockets: Path
    home: Home | None = None
    lines: list[str] = field(default_factory=list)
    engines: list[ZygoteEngine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.zygotes = Zygotes(self.lines.append)
        self.kept = None
        if self.home is not None:
            self.restorer = Restorer(SnapshotStore(self.home))
            self.kept = KeptZygotes(self.restorer, self.lines.append)

    @property
    def pids(self) -> list[int]:
        """The zygotes that run."""
        return [each.pid for each in self.zygotes.status() if each.pid is not None]

    @property
    def count(self) -> int:
        """How many can be started from."""
        return len(self.pids) + (len(self.kept.known()) if self.kept is not None else 0)

    @property
    def instances(self) -> int:
        """How many live that started from them."""
        kept = self.kept.known() if self.kept is not None else []
        forked = sum(each.instances for each in self.zygotes.status())
        return forked + sum(len(each.instances) for each in kept)

    def engine(self, bento: LocalBento, root: Path | None = None, **env: str) -> ZygoteEngine:
        """An engine for a bento, or for a root that has its packages."""
        root = root or bento.root.path
        python = find_python(bento.manifest.python)
        runtime = BentoRoot(root).runtime.resolve()
        packages = Packages(bento.packages, runtime, python.resolve())
        environment = {"PATH": os.environ["PATH"], **env}
        directory = self.sockets / str(len(self.engines))
        launch = Launch(root, python, environment, directory, lambda *_: None)
        engine = ZygoteEngine(packages, self.zygotes, launch, self.kept)
        self.engines.append(engine)
        return engine


@asynccontextmanager
async def stage(sockets: Path, home: Home | None = None) -> AsyncIterator[Stage]:
    made = Stage(sockets, home)
    try:
        yield made
    finally:
        for engine in made.engines:
            await asyncio.wait_for(engine.close(), PATIENCE)
        await asyncio.wait_for(made.zygotes.close(), PATIENCE)
        if made.kept is not None:
            await asyncio.wait_for(made.kept.close(), PATIENCE)
            await asyncio.wait_for(made.restorer.close(), PATIENCE)


@pytest.fixture(params=["forked", "kept"])
def home(request: pytest.FixtureRequest, built: Built) -> Home | None:
    """Where the zygotes of a stage are kept; None where they run."""
    if request.param == "forked":
        return None
    request.getfixturevalue("criu")
    return built.home


def variant(bento: LocalBento, root: Path, files: Mapping[str, str]) -> Path:
    """A root with a bento's packages and another project."""
    (root / "src").mkdir(parents=True)
    for source in bento.root.source.glob("*.py"):
        (root / "src" / source.name).write_text(source.read_text())
    for name, text in files.items():
        (root / "src" / name).write_text(text)
    for name in ("runtime", "env"):
        (root / name).symlink_to((bento.root.path / name).resolve())
    (root / "bento.json").write_bytes(bento.root.manifest.read_bytes())
    return root


def descendants(pid: int) -> set[int]:
    """Processes that a process has started, and theirs."""
    found = [pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, path.read_text().split())
    return set(found[1:])


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


async def test_two_functions_start_from_one_zygote_and_share_nothing_of_their_projects(
    built: Built, sockets: Path, home: Home | None
) -> None:
    alpha, beta = built.bento("alpha"), built.bento("beta_two")
    async with stage(sockets, home) as made:
        one = made.engine(alpha, MINE="alpha's secret", BENTOFN_FUNCTION="alpha")
        two = made.engine(beta, BENTOFN_FUNCTION="beta")
        await asyncio.wait_for(one.prepare(), PATIENCE)
        await asyncio.wait_for(two.prepare(), PATIENCE)
        assert (made.count, len(made.pids)) == (1, 1 if home is None else 0)
        instances = [await started(engine, InstanceSpec("one")) for engine in (one, two, one)]
        seen = [await call(instance, "look") for instance in instances]
        assert [each["helper"] for each in seen] == ["alpha", "beta_two", "alpha"]
        assert [each["level"] for each in seen] == [5, 8, 5]
        assert [each["before"] for each in seen] == [["heavy", "heavy.part"]] * 3
        assert len({json.dumps(each["random"]) for each in seen}) == 3
        assert not any("MINE" in environment_of(pid) for pid in made.pids)
        assert (seen[0]["env"]["MINE"], seen[1]["env"].get("MINE")) == ("alpha's secret", None)
        for bento, each in zip((alpha, beta), seen, strict=False):
            root = bento.root.path
            assert each["files"] == [
                str(root / "env" / "heavy" / "__init__.py"),
                str(root / "env" / "heavy" / "part.py"),
                str(root / "runtime" / "bentofn" / "__init__.py"),
            ]
            heavy = root / "env" / "heavy"
            assert each["spec"] == [str(heavy / "__init__.py"), str(heavy), each["files"][0]]
            assert each["main"] == str(BentoRoot(root).boot_script)
            dropin = root / "runtime" / "bentofn" / "runtime" / "dropin"
            places = [root / "src", root / "runtime", dropin, root / "env"]
            assert each["path"] == [str((root / "src").resolve()), *map(str, places)]
            assert Path(each["cwd"]) == (root / "src").resolve()
            assert each["env"]["BENTOFN_ROOT"] == str(root)
        assert made.instances == 3
        pids = made.pids
    assert not any(map(alive, pids))
    assert not any(alive(instance.pid) for instance in instances)


async def test_other_packages_are_another_zygote(built: Built, sockets: Path) -> None:
    alpha, other = built.bento("alpha"), built.bento("other")
    assert alpha.packages == built.bento("beta_two").packages != other.packages
    async with stage(sockets) as made:
        await asyncio.wait_for(made.engine(alpha).prepare(), PATIENCE)
        engine = made.engine(other)
        assert not engine.available
        with pytest.raises(EngineRefused, match="there is no zygote"):
            await engine.start(InstanceSpec("one"))
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert engine.available
        assert len(made.zygotes.status()) == 2


async def test_an_environment_that_its_packages_read_is_another_zygote(
    built: Built, sockets: Path, home: Home | None
) -> None:
    alpha = built.bento("alpha")
    async with stage(sockets, home) as made:
        plain, loud = made.engine(alpha), made.engine(alpha, HEAVY_MODE="loud")
        await asyncio.wait_for(plain.prepare(), PATIENCE)
        assert plain.available
        assert not loud.available
        await asyncio.wait_for(loud.prepare(), PATIENCE)
        assert made.count == 2
        assert (await call(await started(plain, InstanceSpec("one")), "look"))["mode"] == "plain"
        assert (await call(await started(loud, InstanceSpec("one")), "look"))["mode"] == "loud"
        with pytest.raises(EngineRefused):
            await plain.start(InstanceSpec("two", {"HEAVY_MODE": "quiet"}))


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"heavydep.py": ""}, "its module heavydep has the name"),
        (
            {"service.py": SERVICE.format(name="late", first="os.environ['HEAVY_MODE'] = 'loud'")},
            "it sets HEAVY_MODE",
        ),
    ],
)
async def test_a_service_that_would_not_be_the_same_is_not_forked(
    built: Built,
    sockets: Path,
    home: Home | None,
    tmp_path: Path,
    files: Mapping[str, str],
    sentence: str,
) -> None:
    alpha = built.bento("alpha")
    async with stage(sockets, home) as made:
        engine = made.engine(alpha, variant(alpha, tmp_path / "root", files))
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        with pytest.raises(EngineRefused, match=sentence):
            await started(engine, InstanceSpec("one"))
        assert engine.available


async def test_a_package_that_starts_a_thread_is_left_out_by_name(
    built: Built, sockets: Path, home: Home | None, tmp_path: Path
) -> None:
    alpha = built.bento("alpha")
    root = variant(alpha, tmp_path / "root", {})
    (root / "env").unlink()
    shutil.copytree((alpha.root.path / "env").resolve(), root / "env")
    shutil.rmtree(root / "env" / "__pycache__")  # or it would stand for the file
    (root / "env" / "heavydep.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    async with stage(sockets, home) as made:
        engine = made.engine(replace(alpha, packages="env-of-threads"), root)
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert [line for line in made.lines if "starts threads and is left out" in line]
        assert (await call(await started(engine, InstanceSpec("one")), "look"))["before"] == []


async def test_a_kept_zygote_outlives_its_platform_and_is_let_go_where_it_fails(
    built: Built, sockets: Path, criu: Criu, tmp_path: Path
) -> None:
    alpha, beta = built.bento("alpha"), built.bento("beta_two")
    async with stage(sockets, built.home) as made:
        await asyncio.wait_for(made.engine(alpha).prepare(), PATIENCE)
    before = descendants(os.getpid())
    # Bentos with the same packages may differ in what of them is compiled.
    other_tree = variant(beta, tmp_path / "root", {})
    (other_tree / "env").unlink()
    shutil.copytree((beta.root.path / "env").resolve(), other_tree / "env")
    async with stage(sockets, built.home) as made:
        engine = made.engine(beta)
        assert not engine.available
        await asyncio.wait_for(engine.recall(), PATIENCE)
        assert engine.available
        assert not made.pids
        instance = await started(engine, InstanceSpec("one"))
        first = await call(instance, "look")
        os.kill(instance.pid, signal.SIGKILL)
        assert await asyncio.wait_for(instance.wait(), PATIENCE) == -signal.SIGKILL
        other = made.engine(beta, other_tree)
        await asyncio.wait_for(other.recall(), PATIENCE)
        second = await call(await started(other, InstanceSpec("two")), "look")
        assert first["before"] == second["before"] == ["heavy", "heavy.part"]
        assert not set(first["random"]) & set(second["random"])
        assert made.kept is not None
        (zygote,) = made.kept.known()
        (zygote.snapshot.images / "inventory.img").write_bytes(b"no image")
        with pytest.raises(EngineRefused):
            await engine.start(InstanceSpec("three"))
        assert not engine.available
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        # It is not what it was, so another is taken in its place.
        assert (made.count, made.pids) == (1, [])
    assert descendants(os.getpid()) <= before


async def until(check: Callable[[], object], again: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again until something is so."""

    async def poll() -> None:
        while not check():
            await again()
            await asyncio.sleep(0.02)

    await asyncio.wait_for(poll(), PATIENCE)


async def test_a_kept_zygote_that_failed_for_once_is_restored_later(
    built: Built, sockets: Path, criu: Criu
) -> None:
    async with stage(sockets, built.home) as made:
        engine = made.engine(built.bento("alpha"))
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert made.kept is not None
        (zygote,) = made.kept.known()
        image = zygote.snapshot.images / "inventory.img"
        aside = image.rename(image.with_name("aside"))
        with pytest.raises(EngineRefused):
            await engine.start(InstanceSpec("one"))
        assert not engine.available
        aside.rename(image)
        await until(lambda: engine.available, engine.recall)
        assert (await call(await started(engine, InstanceSpec("two")), "look"))["before"]
        assert [each.snapshot for each in made.kept.known()] == [zygote.snapshot]


async def test_a_function_starts_from_another_zygote_where_a_kept_one_failed_for_once(
    built: Built, sockets: Path, criu: Criu, tmp_path: Path
) -> None:
    alpha = built.bento("alpha")
    function = FunctionSpec("alpha", alpha.tag, FunctionSettings(cpu=1))
    environment = instance_environment(function, alpha)
    async with stage(sockets, built.home) as made:
        kept = made.engine(alpha, **environment)
        await asyncio.wait_for(kept.prepare(), PATIENCE)
        python, runtime = kept.launch.python.resolve(), alpha.root.runtime.resolve()
        packages = Packages(alpha.packages, runtime, python)
        running = made.zygotes.warm(packages, alpha.root.path, environment)
        await asyncio.wait_for(running, PATIENCE)
        assert made.kept is not None
        (zygote,) = made.kept.known()
        image = zygote.snapshot.images / "inventory.img"
        aside = image.rename(image.with_name("aside"))
        launcher = Launcher(
            function, alpha, PATIENCE, sockets / "alpha", UNLIMITED,
            LogWriter(tmp_path / "log"), Shared(made.zygotes, made.restorer, made.kept),
        )  # fmt: skip
        try:
            instance, kind = await asyncio.wait_for(launcher.launch("one", 1), PATIENCE)
            assert (kind, launcher.next_kind) == ("cold", "zygote")
            await asyncio.wait_for(instance.stop(10), PATIENCE)
        finally:
            await asyncio.wait_for(launcher.close(), PATIENCE)
            aside.rename(image)


async def test_a_template_is_made_of_a_zygote_again_after_that_failed_for_once(
    built: Built, sockets: Path, criu: Criu
) -> None:
    async with stage(sockets, built.home) as made:
        engine = made.engine(built.bento("alpha"))
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert made.kept is not None
        (zygote,) = made.kept.known()
        image = zygote.snapshot.images / "inventory.img"
        aside = image.rename(image.with_name("aside"))
        of_zygotes: list[Parent | None] = []

        async def quicker() -> Parent | None:
            of_zygotes.append(await engine.template())
            return of_zygotes[-1]

        template = TemplateEngine(engine.launch, quicker)

        async def start() -> None:
            instance = await started(template, InstanceSpec("one"))
            await asyncio.wait_for(instance.stop(10), PATIENCE)
            for pid in descendants(os.getpid()):
                if "template" in command_of(pid):
                    os.kill(pid, signal.SIGKILL)

        try:
            await start()
            assert of_zygotes == []
            aside.rename(image)
            await until(lambda: of_zygotes, start)
        finally:
            await asyncio.wait_for(template.close(), PATIENCE)


async def test_a_disk_that_failed_for_once_is_asked_for_zygotes_again(
    built: Built, sockets: Path, criu: Criu, tmp_path: Path
) -> None:
    alpha, home = built.bento("alpha"), Home(tmp_path / "home").create()
    home.snapshots.touch()
    async with stage(sockets, home) as made:
        engine = made.engine(alpha)
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert made.kept is not None
        assert (made.kept.known(), len(made.pids)) == ([], 1)  # the next best
        home.snapshots.unlink()
        await until(made.kept.known, engine.prepare)
    aside = home.snapshots.rename(tmp_path / "aside")
    home.snapshots.touch()
    async with stage(sockets, home) as made:
        engine = made.engine(alpha)
        await asyncio.wait_for(engine.recall(), PATIENCE)
        assert not engine.available
        home.snapshots.unlink()
        aside.rename(home.snapshots)
        await until(lambda: engine.available, engine.recall)


async def test_a_kept_zygote_whose_variables_are_not_readable_is_taken_anew(
    built: Built, sockets: Path, criu: Criu, tmp_path: Path
) -> None:
    alpha, home = built.bento("alpha"), Home(tmp_path / "home")
    async with stage(sockets, home) as made:
        await asyncio.wait_for(made.engine(alpha).prepare(), PATIENCE)
    (read,) = home.snapshots.glob("*/read.json")
    read.write_text("5")
    async with stage(sockets, home) as made:
        engine = made.engine(alpha)
        await asyncio.wait_for(engine.recall(), PATIENCE)
        assert not engine.available
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert (made.count, made.pids) == (1, [])
        assert isinstance(json.loads(read.read_bytes()), list)


async def test_a_zygote_whose_snapshot_was_removed_is_listed_while_it_has_instances(
    built: Built, sockets: Path, criu: Criu, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    async with stage(sockets, home) as made:
        engine = made.engine(built.bento("alpha"))
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        instance = await started(engine, InstanceSpec("one"))
        assert made.kept is not None
        (zygote,) = made.kept.known()
        made.restorer.store.delete(zygote.snapshot, force=True)
        assert not engine.available
        shared = Shared(made.zygotes, made.restorer, made.kept)
        assert [each.instances for each in shared.zygote_status()] == [1]
        await asyncio.wait_for(instance.stop(10), PATIENCE)
        assert shared.zygote_status() == []


async def test_a_template_is_made_of_a_kept_zygote(
    built: Built, sockets: Path, criu: Criu, tmp_path: Path
) -> None:
    alpha = built.bento("alpha")
    held = "import socket\nHELD = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    service = SERVICE.format(name="held", first=held)
    async with stage(sockets, built.home) as made:
        engine = made.engine(alpha, variant(alpha, tmp_path / "root", {"service.py": service}))
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        template = TemplateEngine(engine.launch, engine.template)
        try:
            await asyncio.wait_for(template.prepare(), PATIENCE)
            seen = [
                await call(await started(template, InstanceSpec(name)), "look")
                for name in ("one", "two")
            ]
        finally:
            await asyncio.wait_for(template.close(), PATIENCE)
        assert [each["before"] for each in seen] == [["heavy", "heavy.part"]] * 2
        assert not set(seen[0]["random"]) & set(seen[1]["random"])


async def test_the_least_recently_used_zygote_ends_with_its_last_instance(
    built: Built, sockets: Path
) -> None:
    alpha = built.bento("alpha")
    async with stage(sockets) as made:
        made.zygotes.most = 1
        first, second = made.engine(alpha), made.engine(alpha, HEAVY_MODE="loud")
        await asyncio.wait_for(first.prepare(), PATIENCE)
        (zygote,) = made.zygotes.status()
        instance = await started(first, InstanceSpec("one"))
        await asyncio.wait_for(second.prepare(), PATIENCE)
        assert not first.available
        assert second.available
        assert (await call(instance, "look"))["mode"] == "plain"
        await asyncio.wait_for(instance.stop(10), PATIENCE)
        while alive(zygote.pid):  # noqa: ASYNC110 - bounded by the test's own patience
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_clone_finds_torch_imported_and_computes_with_its_own_threads(
    example_home: Home, example: BuildResult, sockets: Path, tmp_path: Path
) -> None:
    bento = resolve_bento(example_home, example.tag)
    code = """
import sys
BEFORE = "torch" in sys.modules

import bentofn
import torch


@bentofn.service(name="service")
class Embeddings:
    @bentofn.api(examples=[{}])
    def look(self) -> list:
        ones = torch.ones(512, 512)
        return [BEFORE, torch.get_num_threads(), float(ones.mm(ones).mean())]
"""
    async with stage(sockets) as made:
        root = variant(bento, tmp_path / "root", {"service.py": code})
        engine = made.engine(bento, root, SECRET="not for others")
        await asyncio.wait_for(engine.prepare(), PATIENCE)
        instance = await asyncio.wait_for(engine.start(InstanceSpec("one", {}, 2)), PATIENCE)
        await asyncio.wait_for(instance.ready(), PATIENCE)
        assert await call(instance, "look") == [True, 2, 512.0]
        other = made.engine(bento)
        assert other.available


def test_a_service_that_refuses_its_zygote_starts_plainly_and_asks_no_more(
    built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    project = tmp_path / "late"
    shutil.copytree(built.home.path.parent / "alpha", project)
    # Its thread keeps it from being a template, so that every start is a plain one.
    first = "os.environ['HEAVY_MODE'] = 'loud'\nimport threading, time"
    service = SERVICE.format(name="late", first=first)
    thread = "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    service = service.replace("import heavy.part\n", f"import heavy.part\n        {thread}\n")
    (project / "service.py").write_text(service)
    tag = build(project, built.home, BuildOptions(name="late"), lambda _: None).tag
    adapter = LocalAdapter(built.home, port=0)
    try:
        settings = FunctionSettings(cpu=1, idle_timeout=0.2)
        adapter.apply(FunctionSpec("late", tag, settings), lambda _: None)
        for count in (2, 3):
            eventually(lambda: adapter.status("late")[0].state == "zero")
            running = daemon.status(built.home)
            assert running is not None
            eventually(Client(running).zygotes)
            reply = adapter.invoke("late", b"{}")
            assert json.loads(b"".join(reply.body))["mode"] == "loud"
            assert adapter.status("late")[0].starts == {"cold": count}
        log = (built.home.logs / "late.jsonl").read_text()
        assert log.count("it sets HEAVY_MODE") == 1
    finally:
        adapter.destroy("late")
        daemon.stop(built.home)


def test_the_platform_starts_a_second_function_from_the_zygote_and_survives_its_end(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")  # a snapshot would be used before a zygote
    adapter = LocalAdapter(built.home, port=0)

    def deploy(name: str, snapshot: str = "auto") -> str:
        settings = FunctionSettings(cpu=1, snapshot=snapshot)  # type: ignore[arg-type]
        adapter.apply(FunctionSpec(name, built.tags[name], settings), lambda _: None, wait=False)
        (found,) = adapter.status(name)
        assert found.instances
        return found.instances[0].start

    def zygotes() -> list[dict[str, Any]]:
        running = daemon.status(built.home)
        assert running is not None
        return Client(running).zygotes()

    try:
        assert deploy("alpha") == "cold"
        (zygote,) = eventually(zygotes)
        assert zygote["memory"] > 0
        assert deploy("beta_two", "none") == "cold"
        adapter.destroy("beta_two")
        assert deploy("beta_two") == "zygote"
        assert deploy("other") == "cold"
        adapter.destroy("beta_two")
        os.kill(zygote["pid"], signal.SIGKILL)
        eventually(lambda: zygote["pid"] not in [each["pid"] for each in zygotes()])
        assert deploy("beta_two") == "cold"
        eventually(lambda: len(zygotes()) == 2)
        adapter.destroy("beta_two")
        assert deploy("beta_two") == "zygote"
        pids = [each["pid"] for each in zygotes()]
        pids += [i.pid for status in adapter.status() for i in status.instances if i.pid]
        platform = daemon.status(built.home)
        assert platform is not None
        os.kill(platform.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, pids)))
    finally:
        with contextlib.suppress(Exception):
            daemon.stop(built.home)


def test_a_function_of_a_platform_that_was_just_started_starts_from_the_kept_zygote(
    built: Built, criu: Criu, bentofn: Bentofn
) -> None:
    adapter = LocalAdapter(built.home, port=0)
    settings = FunctionSettings(cpu=1, environment={"PLATFORM": "another zygote's not"})

    def deploy(name: str) -> FunctionStatus:
        adapter.apply(FunctionSpec(name, built.tags[name], settings), lambda _: None, wait=False)
        return adapter.status(name)[0]

    def zygotes() -> list[dict[str, Any]]:
        running = daemon.status(built.home)
        assert running is not None
        return Client(running).zygotes()

    store = SnapshotStore(built.home)
    try:
        for snapshot in store.list():
            store.delete(snapshot)
        assert deploy("alpha").instances[0].start == "cold"
        (zygote,) = eventually(zygotes)
        assert (zygote["pid"], zygote["memory"]) == (None, 0)
        assert store.find(zygote["snapshot"]).origin.bento.startswith("zygote of env-")
        daemon.stop(built.home)
        found = deploy("beta_two")
        assert [instance.start for instance in found.instances] == ["zygote"]
        reply = adapter.invoke("beta_two", b"{}")
        assert json.loads(b"".join(reply.body))["helper"] == "beta_two"
        told = json.loads(bentofn("emulator", "status", "--json", home=built.home.path).stdout)
        assert [each["instances"] for each in told["zygotes"]] == [1]
        pids = [i.pid for status in adapter.status() for i in status.instances if i.pid]
        platform = daemon.status(built.home)
        assert platform is not None
        os.kill(platform.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, pids)))
    finally:
        with contextlib.suppress(Exception):
            daemon.stop(built.home)
