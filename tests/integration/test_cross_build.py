"""Bentos for another platform and another Python than this machine's."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from bentofn.adapters.local.bentos import resolve_bento
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.environment.machine import machine_of
from bentofn.packager.environment.target import WHEELS, find_interpreter, host_platform
from bentofn.packager.home import Home, leftovers
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

WriteWheel = Callable[..., Path]
Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

HERE = host_platform()
OTHER, MACHINE = ("linux/amd64", 62) if HERE == "linux/arm64" else ("linux/arm64", 183)
OURS = 183 if OTHER == "linux/amd64" else 62

SERVICE = """
import bentofn
import tinydep

@bentofn.service
class Echo:
    @bentofn.api(examples=[{"text": "hi"}])
    def echo(self, text: str) -> str:
        return text + tinydep.SUFFIX
"""
BENTOFILE = """
service: "service:Echo"
python:
  packages: [tinydep]
  find_links: [wheels]
exclude: [wheels]
"""


def shared_object(machine: int) -> bytes:
    """The head of an ELF file for a machine."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + bytes([3, 0, machine, 0]) + bytes(44)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("cross") / "home")


@pytest.fixture
def project(tmp_path: Path, write_wheel: WriteWheel) -> Path:
    folder = tmp_path / "project"
    files = {"tinydep/__init__.py": b"SUFFIX = '!'\n", "tinydep/tests/x.py": b""}
    write_wheel(folder / "wheels", "tinydep", "1.0", files)
    (folder / "service.py").write_text(SERVICE)
    (folder / "bentofile.yaml").write_text(BENTOFILE)
    return folder


def run(project: Path, home: Home, **options: object) -> BuildResult:
    result = build(project, home, BuildOptions(**options), lambda message: None)  # type: ignore[arg-type]
    assert leftovers(home) == []
    return result


def refusal(project: Path, home: Home) -> str:
    with pytest.raises(UserError) as caught:
        run(project, home, platform=OTHER)
    assert leftovers(home) == []
    return str(caught.value)


def test_another_platform(project: Path, home: Home) -> None:
    result = run(project, home, platform=OTHER)
    store = Store(home)
    entry = store.get("bento", result.tag)
    manifest = store.bento(entry)
    assert manifest.platform == OTHER
    assert manifest.contract.apis[0].examples == ({"text": "hi"},)
    env = (materialise(home, entry) / "env").resolve()
    libraries = [path for path in env.rglob("*.so*") if path.is_file()]
    assert {path.name.partition(".")[0] for path in libraries} > {"loop"}  # uvloop's
    assert {machine_of(path.read_bytes()) for path in libraries} == {MACHINE}
    assert list(env.rglob("tinydep/__pycache__/__init__.*.pyc"))
    assert not list(env.rglob("tests"))
    assert any(f"proved by the examples on {HERE}" in text for text in result.warnings)
    with pytest.raises(UserError, match=f"was built for {OTHER} and cannot run on {HERE}"):
        resolve_bento(home, result.tag)
    again = run(project, home, platform=OTHER)
    assert (again.reused, again.digest) == (True, result.digest)
    native = store.bento(store.get("bento", run(project, home).tag))
    assert native.platform == HERE
    assert native.contract == manifest.contract


def test_wheels_that_each_platform_has_its_own_of(
    project: Path, home: Home, write_wheel: WriteWheel
) -> None:
    for machine, tag in ((62, "x86_64"), (183, "aarch64")):
        files = {"tinydep/__init__.py": b"SUFFIX = '?'\n", "tinydep/x.so": shared_object(machine)}
        name = f"py3-none-manylinux_2_17_{tag}.manylinux2014_{tag}"
        write_wheel(project / "wheels", "tinydep", "2.0", files, tag=name)
    result = run(project, home, platform=OTHER)
    env = materialise(home, Store(home).get("bento", result.tag)) / "env"
    assert machine_of((env / "tinydep" / "x.so").read_bytes()) == MACHINE


@pytest.mark.skipif(HERE not in WHEELS, reason="needs Linux on amd64 or arm64")
def test_the_named_platform_of_this_machine(
    project: Path, home: Home, write_wheel: WriteWheel
) -> None:
    tag = WHEELS[HERE].split("-")[0]
    for version, glibc in (("2.0", "2_28"), ("3.0", "2_35")):
        files = {"tinydep/__init__.py": f"SUFFIX = '{version}'\n".encode()}
        name = f"py3-none-manylinux_{glibc}_{tag}"
        write_wheel(project / "wheels", "tinydep", version, files, tag=name)
    result = run(project, home, platform=HERE)
    env = materialise(home, Store(home).get("bento", result.tag)) / "env"
    assert (env / "tinydep" / "__init__.py").read_text() == "SUFFIX = '2.0'\n"
    assert not any("proved by the examples on" in text for text in result.warnings)


def test_a_wheel_whose_tag_lies_is_refused(
    project: Path, home: Home, write_wheel: WriteWheel
) -> None:
    files = {"tinydep/__init__.py": b"", "tinydep/x.so.1": shared_object(OURS)}
    write_wheel(project / "wheels", "tinydep", "3.0", files)
    message = refusal(project, home)
    assert message.startswith("tinydep/x.so.1 is compiled for ")
    assert f"not for {OTHER}" in message


def test_compiled_code_of_the_project_is_refused(project: Path, home: Home) -> None:
    (project / "fast.so").write_bytes(shared_object(OURS))
    assert refusal(project, home).startswith("fast.so is compiled for ")
    (project / "fast.so").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(60))
    assert refusal(project, home).startswith("fast.so is compiled for macOS")


def test_a_package_without_wheels_is_refused(project: Path, home: Home) -> None:
    for wheel in (project / "wheels").iterdir():
        wheel.unlink()
    with tarfile.open(project / "wheels" / "tinydep-1.0.tar.gz", "w:gz") as archive:
        data = b"Metadata-Version: 2.1\nName: tinydep\nVersion: 1.0\n"
        info = tarfile.TarInfo("tinydep-1.0/PKG-INFO")
        info.size = len(data)
        archive.addfile(info, BytesIO(data))
    message = refusal(project, home)
    assert message.startswith(f"The requirements cannot be satisfied for {OTHER}")
    assert "tinydep" in message
    assert "\n" not in message


def test_what_this_machine_cannot_have_is_said(
    project: Path, home: Home, write_wheel: WriteWheel
) -> None:
    for wheel in (project / "wheels").iterdir():
        wheel.unlink()
    machine = "aarch64" if MACHINE == 183 else "x86_64"
    tag = f"py3-none-manylinux2014_{machine}"
    write_wheel(project / "wheels", "tinydep", "1.0", tag=tag)
    message = refusal(project, home)
    assert message.startswith("The service cannot be imported here to see what it promises: ")


def test_another_version_here_is_said(project: Path, home: Home, write_wheel: WriteWheel) -> None:
    machine = "aarch64" if MACHINE == 183 else "x86_64"
    files = {"tinydep/__init__.py": b"SUFFIX = ':'\n"}
    tag = f"py3-none-manylinux2014_{machine}"
    write_wheel(project / "wheels", "tinydep", "9.0", files, tag=tag)
    result = run(project, home, platform=OTHER)
    assert any("tinydep 1.0 instead of 9.0" in text for text in result.warnings)


def another_python() -> str | None:
    for minor in ("3.13", "3.12", "3.10", "3.11"):
        try:
            found = find_interpreter(minor)
        except UserError:
            continue
        if find_interpreter(".".join(map(str, sys.version_info[:2]))) != found:
            return minor
    return None


@pytest.mark.skipif(another_python() is None, reason="needs a second Python")
def test_another_python(project: Path, home: Home) -> None:
    minor = another_python()
    result = run(project, home, python=minor)
    entry = Store(home).get("bento", result.tag)
    assert Store(home).bento(entry).python == minor
    root = materialise(home, entry)
    tag = f"cpython-{str(minor).replace('.', '')}"
    for place in ("env", "runtime", "src"):
        compiled = [path.name.split(".")[-2] for path in (root / place).resolve().rglob("*.pyc")]
        assert set(compiled) == {tag}


def test_the_command_line(project: Path, home: Home, bentofn: Bentofn) -> None:
    for options, says in (
        (("--platform", "plan9/mips"), "--platform takes linux/amd64 or linux/arm64"),
        (("--python-version", "3.9"), "Python 3.9 is too old"),
    ):
        done = bentofn("build", str(project), *options, home=home.path, check=False)
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr
    done = bentofn("build", str(project), "--platform", OTHER, "--cpu", "--json", home=home.path)
    document = json.loads(done.stdout)
    assert Store(home).bento(Store(home).get("bento", document["tag"])).platform == OTHER
    assert any(f"proved by the examples on {HERE}" in text for text in document["warnings"])
    done = bentofn("serve", document["tag"], home=home.path, check=False)
    assert (done.returncode, "cannot run on" in done.stderr) == (1, True), done.stderr
