"""What torch.compile makes in one place, with the C++ compiler, is found in another, without it."""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.kept.collect import collect
from bentofn.packager.kept.place import copy_to
from bentofn.packager.roots.stage import stage
from bentofn.packager.runtime_files import runtime_files
from bentofn.runtime.kept.start import WRITES
from bentofn.runtime.layout import BentoRoot, boot_command
from bentofn.runtime.manifest import BentoManifest, ServiceContract

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]

SERVICE = """
import torch
import bentofn

@bentofn.service
class Compiled:
    def __init__(self) -> None:
        self.run = torch.compile(lambda x: (x.sin() + x).sum())

    @bentofn.api(examples=[{{"rows": {rows}}}])
    def total(self, rows: int) -> float:
        return round(float(self.run(torch.ones(rows, 8))), 3)
"""

PACKAGED = """
import torch
import bentofn

class Net(torch.nn.Module):
    def forward(self, x):
        return (x.cos() * x).sum(1)

def package(path):
    rows = ({{0: torch.export.Dim("rows", min=2, max=512)}},)
    program = torch.export.export(Net(), (torch.ones(4, 8),), dynamic_shapes=rows)
    torch._inductor.aoti_compile_and_package(program, package_path=str(path))

@bentofn.service
class Compiled:
    def __init__(self) -> None:
        path = str(bentofn.kept_file("first.pt2", package))
        self.first = torch._inductor.aoti_load_package(path)
        self.second = torch.compile(Net(), dynamic=True)

    @bentofn.api(examples=[{{"rows": {rows}}}])
    def total(self, rows: int) -> list[float]:
        x = torch.ones(rows, 8)
        return [float(self.first(x).sum()), float(self.second(x).sum())]
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Path to content of all files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


START = "from bentofn.runtime.kept import start"
RESIZED = """
        torch.set_num_threads(torch.get_num_threads() + 1)
        start.resized(torch.get_num_threads())
        self.run(torch.ones(rows, 8))
        return len(torch._dynamo.utils.get_compilation_metrics())
"""
"""What a copy does that gets a number of threads of its own; says how often torch compiled."""


def root_at(
    path: Path, rows: int, compiled: Path | None = None, more: str = "", service: str = SERVICE
) -> BentoRoot:
    """A root of the service with this interpreter's packages.

    Args:
        path: Where.
        rows: Of the example.
        compiled: What is kept.
        more: What the endpoint does instead of returning what it computes.
        service: Its source.
    """
    root = BentoRoot(path)
    stage(root.runtime, runtime_files())
    root.source.mkdir()
    text = service.format(rows=rows)
    if more:
        text = text.replace("return ", "").replace("import torch", f"import torch\n{START}") + more
    (root.source / "service.py").write_text(text)
    root.environment.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if each.suffix != ".pth" and "bentofn" not in each.name:
            (root.environment / each.name).symlink_to(each)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    contract = ServiceContract("Compiled", "service:Compiled")
    root.manifest.write_bytes(
        BentoManifest("compiled", "1", contract, python, "linux/amd64").to_json()
    )
    if compiled is not None:
        root.compiled.symlink_to(compiled)
    return root


def ask(root: BentoRoot, **variables: str) -> tuple[dict[str, Any], str]:
    """What the example is answered with, or the error, and what is said meanwhile."""
    output = root.path.with_suffix(".json")
    options = ("--root", str(root.path), "--output", str(output))
    environment = {"PATH": os.environ["PATH"], "HOME": str(root.path), **variables}
    done = subprocess.run(
        boot_command(Path(sys.executable).resolve(), root.path, "examples", *options),
        env=environment, text=True, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert output.exists(), done.stderr
    document: dict[str, Any] = json.loads(output.read_text())
    return document, done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service compiled at its example."""
    folder = tmp_path_factory.mktemp("built")
    document, said = ask(root_at(folder / "root", 3), **{WRITES: str(folder / "writes")})
    assert [each["status"] for each in document["answers"]] == [200]
    assert document["obstacles"] == []
    assert "compiled at this start" in said
    assert "<lambda> (service.py:8); nothing compiled is kept with the bento yet" in said
    found = collect(folder / "writes", places=[folder])
    assert found is not None
    assert "env/torch/_dynamo/utils.py" in document["modules"]
    copy_to(folder / "kept" / found.id, found)
    return folder / "kept"


@pytest.fixture
def no_compiler(tmp_path: Path) -> str:
    """A PATH without a C++ compiler."""
    for name in ("sh", "cat"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(program)
    return str(tmp_path / "bin")


def test_a_root_elsewhere_finds_it_without_a_compiler(
    kept: Path, tmp_path: Path, no_compiler: str
) -> None:
    document, said = ask(root_at(tmp_path / "elsewhere", 3, kept), PATH=no_compiler)
    [answer] = document["answers"]
    total = float(base64.b64decode(answer["body"]))
    assert total == pytest.approx(3 * 8 * (math.sin(1) + 1), abs=1e-3)
    assert "compiled" not in said


def test_the_same_service_elsewhere_gives_the_same_bytes(
    kept: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("again")  # of a name as long as that of the first
    ask(root_at(folder / "root", 3), **{WRITES: str(folder / "writes")})
    found = collect(folder / "writes", places=[folder])
    assert found is not None
    copy_to(folder / "kept" / found.id, found)
    assert contents(folder / "kept") == contents(kept)
    assert not [path for path, data in contents(kept).items() if str(kept.parent).encode() in data]


def test_packages_and_dynamic_shapes_are_found_without_a_compiler(
    tmp_path: Path, no_compiler: str
) -> None:
    built = root_at(tmp_path / "built", 3, service=PACKAGED)
    _, said = ask(built, **{WRITES: str(tmp_path / "writes")})
    assert "first.pt2, forward (service.py:6); nothing compiled is kept" in said
    found = collect(tmp_path / "writes")
    assert found is not None
    copy_to(tmp_path / "kept" / found.id, found)
    other = root_at(tmp_path / "other", 5, tmp_path / "kept", service=PACKAGED)
    document, said = ask(other, PATH=no_compiler)
    [answer] = document["answers"]
    expected = pytest.approx(5 * 8 * math.cos(1), abs=1e-2)
    assert json.loads(base64.b64decode(answer["body"])) == [expected, expected]
    assert "compiled" not in said


def test_what_is_not_kept_is_compiled_and_told(kept: Path, tmp_path: Path) -> None:
    document, said = ask(root_at(tmp_path / "other", 5, kept))
    assert document["answers"]
    assert "was compiled of other code, shapes or options" in said


def test_what_is_not_kept_and_cannot_be_compiled_says_so(
    kept: Path, tmp_path: Path, no_compiler: str
) -> None:
    document, said = ask(root_at(tmp_path / "none", 5, kept), PATH=no_compiler)
    assert "error" in document
    assert "this instance has no C++ compiler" in said


def test_another_number_of_threads_compiles_nothing_again(kept: Path, tmp_path: Path) -> None:
    document, said = ask(root_at(tmp_path / "resized", 3, kept, RESIZED))
    assert [base64.b64decode(each["body"]) for each in document["answers"]] == [b"1.0"]
    assert "compiled" not in said
