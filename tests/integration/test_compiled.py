"""What a service compiles at its examples: a layer that later starts find, and kept on first use.

``triton`` is a stand-in here that keeps what it compiles where Triton does, and says which it did.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home
from bentofn.packager.inspect import inspect
from bentofn.packager.kept.place import kept_place
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.kept.layer import RECORD

TRITON = b"""
import os

def launch(name: str) -> str:
    from triton import late
    from triton.runtime import cache
    assert cache.triton_key() == "of this version"
    path = f"{os.environ['TRITON_CACHE_DIR']}/HASH/{name}.cubin"
    if os.path.exists(path):
        return "found"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").close()
    return "compiled"
"""
KEY = b"""
import sys

def triton_key() -> str:
    print("hashing all of Triton", file=sys.stderr)
    return "of this version"
"""
SERVICE = """
import bentofn
import triton

@bentofn.service(resources={"cpu": "1"})
class Kernels:
    def __init__(self) -> None:
        self.first = triton.launch("add")

    @bentofn.api(examples=[{"name": "add"}])
    def run(self, name: str) -> list[str]:
        return [self.first, triton.launch(name)]
"""
BENTOFILE = """
service: "service:Kernels"
python:
  packages: ["triton==0.0.1+here"]
  find_links: [wheels]
exclude: [wheels]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("compiled") / "home")
    yield home
    daemon.stop(home)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, write_wheel) -> Path:  # type: ignore[no-untyped-def]
    project = tmp_path_factory.mktemp("kernels")
    files = {"triton/__init__.py": TRITON, "triton/late.py": b""}
    files |= {"triton/runtime/__init__.py": b"", "triton/runtime/cache.py": KEY}
    write_wheel(project / "wheels", "triton", "0.0.1+here", files)
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text(BENTOFILE)
    return project


@pytest.fixture(scope="module")
def built(home: Home, project: Path) -> BuildResult:
    said: list[str] = []
    result = build(project, home, BuildOptions(), said.append)
    assert any(each.startswith("Keeping what it compiled") and "add" in each for each in said)
    return result


def files_of(home: Home, result: BuildResult, layer: str) -> list[str]:
    store = Store(home)
    [content] = inspect(store, store.get("bento", result.tag), layer)
    return [file.path for file in content.files]


def answer(home: Home, name: str, tag: str, snapshot: str, kernel: str) -> tuple[list[str], str]:
    """What a function answers that was just deployed, and its log."""
    adapter = LocalAdapter(home, port=0)
    settings = FunctionSettings(snapshot=snapshot)  # type: ignore[arg-type]
    status = adapter.apply(FunctionSpec(name, tag, settings), print)
    request = urllib.request.Request(f"{status.url}/run", json.dumps({"name": kernel}).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        found = json.loads(response.read())
    return found, (home.logs / f"{name}.jsonl").read_text()


def wait_for_log(home: Home, name: str, line: str) -> None:
    end = time.monotonic() + 60
    while line not in (home.logs / f"{name}.jsonl").read_text():
        assert time.monotonic() < end, f"{name} does not say: {line}"
        time.sleep(0.05)


def test_a_build_keeps_what_the_examples_compile_and_the_compilers_bytecode(
    home: Home, built: BuildResult
) -> None:
    assert [layer.kind for layer in built.layers].count("compiled") == 1
    [kernel, record] = sorted(files_of(home, built, "compiled"))
    assert kernel.endswith("/files/triton/HASH/add.cubin")
    assert record.endswith("/kept.json")
    assert any("triton/__pycache__/late." in path for path in files_of(home, built, "bytecode"))


def test_a_start_finds_it(home: Home, built: BuildResult) -> None:
    said, log = answer(home, "finds", built.tag, "none", "add")
    assert said == ["found", "found"]
    assert "compiled at this start" not in log
    assert "hashing" not in log


def test_a_machine_that_it_does_not_fit_compiles_once_and_keeps_that(
    home: Home, built: BuildResult
) -> None:
    store = Store(home)
    entry = store.get("bento", built.tag)
    root = materialise(home, entry)
    [record] = (root / "compiled").glob(f"*/{RECORD}")
    fitting = record.read_text()
    record.write_text(fitting.replace('"machine":"', '"machine":"un'))
    try:
        said, log = answer(home, "misfit", built.tag, "none", "add")
        assert said[0] == "compiled"
        assert "hashing" in log
        assert "compiled at this start: add; what is kept with the bento was compiled on un" in log
        wait_for_log(home, "misfit", "kept for this machine what the examples compile")
        for name, snapshot in (("later", "none"), ("template", "template")):
            said, _ = answer(home, name, built.tag, snapshot, "add")
            assert said == ["found", "found"]
    finally:
        record.write_text(fitting)
    assert list(kept_place(home, entry.digest).glob(f"*/{RECORD}"))


def test_a_change_of_what_it_compiles_is_looked_at_again(
    home: Home, project: Path, built: BuildResult
) -> None:
    before = (project / "service.py").read_text()
    (project / "service.py").write_text(before.replace('launch("add")', 'launch("multiply")'))
    try:
        again = build(project, home, BuildOptions(), print)
    finally:
        (project / "service.py").write_text(before)
    kernels = {path.rpartition("/")[2] for path in files_of(home, again, "compiled")}
    assert kernels == {"add.cubin", "multiply.cubin", "kept.json"}


def test_what_compiles_nothing_has_no_layer(
    home: Home, project: Path, built: BuildResult, tmp_path: Path
) -> None:
    (tmp_path / "wheels").symlink_to(project / "wheels")
    (tmp_path / "bentofile.yaml").write_text(BENTOFILE)
    text = SERVICE.replace("triton.launch(name)", "name").replace('triton.launch("add")', '""')
    (tmp_path / "service.py").write_text(text)
    result = build(tmp_path, home, BuildOptions(), print)
    assert "compiled" not in [layer.kind for layer in result.layers]
