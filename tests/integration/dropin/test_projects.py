"""Projects written for BentoML are built, served and deployed without a line changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import bentofn
from bentofn.adapters.local import daemon
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.manifest import BentoManifest

Bentofn = Callable[..., "CompletedProcess[str]"]

PREPARE = """
import pickle
import sys

import bentoml

with bentoml.models.create("line", labels={"by": "test"}) as model:
    with open(model.path_of("line.pkl"), "wb") as file:
        pickle.dump({"slope": float(sys.argv[1])}, file)
"""

STORED = """
import pickle

import bentoml


@bentoml.service(resources={"cpu": "1"}, traffic={"timeout": 10})
class Line:
    # Load in the class scope to declare the model as a dependency of the service
    line = bentoml.models.get("line:latest")

    def __init__(self):
        with open(self.line.path_of("line.pkl"), "rb") as file:
            self.slope = pickle.load(file)["slope"]

    @bentoml.api
    def at(self, x: float = 1.0) -> dict:
        return {"y": self.slope * x, "by": self.line.info.labels["by"]}
"""

LISTED = """
import pickle

import bentoml

lines = [each for each in bentoml.models.list() if each.tag.name == "line"]
newest = max(lines, key=lambda each: each.info.creation_time)
path = newest.path_of("line.pkl")


@bentoml.service
class Line:
    def __init__(self):
        with open(path, "rb") as file:
            self.slope = pickle.load(file)["slope"]

    @bentoml.api
    def at(self, x: float = 1.0) -> dict:
        return {"y": self.slope * x, "of": len(lines)}
"""

IMAGE = """
from __future__ import annotations

import typing as t

import bentoml
import humanize
from pydantic import BaseModel

from helper import LANGUAGE


class Args(BaseModel):
    unit: str = "bytes"

    @property
    def image(self) -> bentoml.images.Image:
        return bentoml.images.Image(python_version={python!r}).requirements_file("needs.txt")


args = bentoml.use_arguments(Args)


@bentoml.service(name="sizes", image=args.image, labels={"unit": args.unit})
class Sizes:
    @bentoml.api
    def tell(self, n: int) -> str:
        return f"{humanize.naturalsize(n)} {LANGUAGE} {args.unit}"


@bentoml.service
class Other: ...
"""

KEPT = """
import time

import bentoml
import bentoml.client


@bentoml.service(labels={"kept": "yes"}, traffic={"timeout": 0.5})
class Kept:
    def __init__(self) -> None:
        self.more = 41

    @bentoml.api
    def add(self, x: int = 1) -> int:
        return self.more + x

    @bentoml.task
    def later(self, ctx: bentoml.Context, seconds: float) -> str:
        time.sleep(seconds)
        return ctx.request.state.task_id
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("dropin") / "home")
    yield home
    daemon.stop(home)


@pytest.fixture(scope="module")
def run(bentofn: Bentofn, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Bentofn:
    """Runs ``bentofn`` on the home, with no store of BentoML's own."""
    nothing = str(tmp_path_factory.mktemp("bentoml"))
    started = False

    def run(*arguments: str, cwd: Path, check: bool = True) -> CompletedProcess[str]:
        nonlocal started
        if arguments[0] == "deploy" and not started:
            started = True
            bentofn("emulator", "start", "--port", "0", home=home.path)
        return bentofn(*arguments, home=home.path, cwd=cwd, check=check, BENTOML_HOME=nothing)

    return run


def project(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def manifest(home: Home, built: CompletedProcess[str]) -> BentoManifest:
    store = Store(home)
    return store.bento(store.get("bento", json.loads(built.stdout)["tag"]))


def ended(task: Any) -> str:
    for _ in range(600):
        status = task.get_status().value
        if status != "in_progress":
            return str(status)
        time.sleep(0.05)
    raise AssertionError("the task does not end")


def answer(run: Bentofn, folder: Path, tag: str, body: str) -> str:
    run("deploy", tag, "--wait", cwd=folder)
    return run("invoke", tag.partition(":")[0], body, cwd=folder).stdout


def test_a_model_that_the_class_looks_up(run: Bentofn, home: Home, tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        service__py=STORED,
        prepare_model__py=PREPARE,
        bentofile__yaml="service: 'service.py:Line'\ninclude: ['*.py']\n"
        "python:\n  requirements_txt: ./requirements.txt\n",
        requirements__txt="bentoml[grpc]>=1.3\n",
    )
    missing = run("build", cwd=folder, check=False)
    assert "The model line:latest is not in the model store" in missing.stderr
    run("run", "prepare_model.py", "2", cwd=folder)
    built = run("build", "--json", cwd=folder)
    warnings = json.loads(built.stdout)["warnings"]
    assert any("bentoml is left out" in each for each in warnings)
    assert [each.name for each in manifest(home, built).models] == ["line"]
    assert json.loads(answer(run, folder, "line", '{"x": 3}')) == {"y": 6.0, "by": "test"}
    assert json.loads(run("build", "--json", cwd=folder).stdout)["reused"]
    run("run", "prepare_model.py", "5", cwd=folder)
    anew = manifest(home, run("build", "--json", cwd=folder))
    assert [each.version for each in anew.models] != [
        each.version for each in manifest(home, built).models
    ]
    assert json.loads(answer(run, folder, "line", '{"x": 3}'))["y"] == 15.0


def test_a_model_that_the_module_finds_among_all(run: Bentofn, home: Home, tmp_path: Path) -> None:
    folder = project(tmp_path, service__py=LISTED, prepare_model__py=PREPARE)
    for slope in ("2", "3"):
        run("run", "prepare_model.py", slope, cwd=folder)
    built = run("build", "--json", cwd=folder)
    (carried,) = manifest(home, built).models
    assert json.loads(answer(run, folder, "line", '{"x": 3}')) == {"y": 9.0, "of": 1}
    assert json.loads(run("build", "--json", cwd=folder).stdout)["reused"]
    run("run", "prepare_model.py", "5", cwd=folder)
    (anew,) = manifest(home, run("build", "--json", cwd=folder)).models
    assert anew.version != carried.version


def test_an_image_in_the_code_instead_of_a_build_file(
    run: Bentofn, home: Home, tmp_path: Path
) -> None:
    import sys

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = project(
        tmp_path,
        service__py=IMAGE.replace("{python!r}", repr(version)),
        helper__py="import humanize\nLANGUAGE = humanize.i18n.__name__[:4]\n",
        needs__txt="bentoml\nhumanize==4.9.0\n",
    )
    several = run("build", cwd=folder, check=False)
    assert "declares several services" in several.stderr
    built = run("build", "service.py:Sizes", "--arg", "unit=B", "--json", cwd=folder)
    found = manifest(home, built)
    assert (found.name, found.labels, found.python) == ("sizes", {"unit": "B"}, version)
    tag = f"{found.name}:{found.version}"
    assert answer(run, folder, tag, '{"n": 1000}').strip() == "1.0 kB huma B"
    # What stands in a function does not change what the class says of its image.
    (folder / "service.py").write_text(
        (folder / "service.py").read_text().replace("return f", "return 'now ' f")
    )
    built = run("build", "service.py:Sizes", "--arg", "unit=B", "--json", cwd=folder)
    tag = json.loads(built.stdout)["tag"]
    assert answer(run, folder, tag, '{"n": 1000}').strip() == "now 1.0 kB huma B"


@pytest.mark.slow
def test_a_name_that_bentofn_does_not_carry_keeps_bentoml(
    run: Bentofn, home: Home, tmp_path: Path
) -> None:
    folder = project(tmp_path, service__py=KEPT)
    built = run("build", "--json", cwd=folder)
    warnings = json.loads(built.stdout)["warnings"]
    assert any("bentoml.client" in each for each in warnings)
    found = manifest(home, built)
    assert [api.name for api in found.contract.apis] == ["add", "later"]
    assert (found.labels, found.envs["BENTOFN_STOCK"]) == ({"kept": "yes"}, "1")
    run("deploy", found.name, "--wait", cwd=folder)
    (status,) = json.loads(run("status", found.name, "--json", cwd=folder).stdout)
    with bentofn.SyncHTTPClient(status["url"]) as client:
        assert client.add(x=1) == 42
        task = client.later.submit(seconds=0)
        slow = client.later.submit(seconds=1)  # the limit of a call's time is not a task's
        for each in (task, slow):
            assert ended(each) == "completed"
            assert each.get() == each.id


@pytest.mark.parametrize("source", ["./src/app.py", "{folder}/src/app.py"])
def test_a_file_of_a_src_layout_without_a_build_file(
    run: Bentofn, home: Home, tmp_path: Path, source: str
) -> None:
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'apart'\n")
    (tmp_path / "src" / "pkg" / "__init__.py").write_text("WORD = 'hello'\n")
    (tmp_path / "src" / "app.py").write_text(
        "import bentoml\nfrom pkg import WORD\n\n\n@bentoml.service\nclass Apart:\n"
        "    @bentoml.api\n    def say(self) -> str:\n        return WORD\n"
    )
    target = source.format(folder=tmp_path)
    found = manifest(home, run("build", f"{target}:Apart", "--json", cwd=tmp_path))
    assert (found.name, found.contract.import_string) == ("apart", "app:Apart")
    script = "import pkg, sys; print(pkg.WORD, sys.argv[1:])"
    (tmp_path / "src" / "tool.py").write_text(script)
    said = run("run", "-m", "tool", "--more", "-x", cwd=tmp_path / "src").stdout
    assert said == "hello ['--more', '-x']\n"
