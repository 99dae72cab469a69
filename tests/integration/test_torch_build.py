"""Which build of torch a lock holds, with wheels that are torch by their name only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bentofn.packager import build_inputs
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.install import install
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.requirements import Requirements
from bentofn.packager.environment.resolve import Lock, resolve
from bentofn.packager.environment.target import find_target
from bentofn.packager.environment.torch_build import build_note
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

WriteWheel = Callable[..., Path]

NOWHERE = "http://127.0.0.1:9/simple"
"""An index that nobody serves (the discard port)."""

CUDA = "nvidia-cublas-cu99"

SERVICE = """
import bentofn

@bentofn.service
class S:
    @bentofn.api
    def ask(self) -> str:
        return "yes"
"""


class Index(SimpleHTTPRequestHandler):
    """Lists a folder for each project, as a simple index does."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def wheels(tmp_path: Path, write_wheel: WriteWheel) -> Path:
    """A folder with a CUDA build of torch and the library that it requires."""
    folder = tmp_path / "wheels"
    for version in ("0.9.1", "0.9.2"):
        write_wheel(folder, "torch", version, requires=[CUDA])
        write_wheel(folder, "torchvision", version, requires=[f"torch=={version}"])
    write_wheel(folder, CUDA.replace("-", "_"), "1.0")
    return folder


def lock_of(tmp_path: Path, wheels: Path, *packages: str, index: str | None = NOWHERE) -> Lock:
    return resolve(tmp_path, wanted(wheels, *packages, index=index), *surroundings(tmp_path))


def wanted(wheels: Path, *packages: str, index: str | None) -> Requirements:
    settings = read_pip_config(os.environ).with_options(find_links=(str(wheels),))
    return Requirements(packages, (), replace(settings, torch_cpu_index=index))


def surroundings(tmp_path: Path):  # type: ignore[no-untyped-def]
    return find_target(None, None), Home(tmp_path / "home")


def installed(tmp_path: Path, lock: Lock, settings: IndexSettings) -> str:
    target, home = surroundings(tmp_path)
    tree = tmp_path / "installed" / "env"
    tree.parent.mkdir()
    install(lock, settings, target, tree, tmp_path, home)
    return (tree / "torch" / "__init__.py").read_text()


def test_a_cpu_build_in_a_folder_of_wheels(
    tmp_path: Path, wheels: Path, write_wheel: WriteWheel
) -> None:
    write_wheel(wheels, "torch", "0.9.1+cpu")
    cpu = lock_of(tmp_path, wheels, "torch<1")
    assert cpu.versions["torch"] == "0.9.1+cpu"
    assert CUDA not in cpu.versions
    gpu = lock_of(tmp_path, wheels, "torch<1", index=None)
    assert gpu.versions["torch"] == "0.9.2"
    assert CUDA in gpu.versions
    assert build_note(cpu.versions, gpu=False) is None
    assert build_note(gpu.versions, gpu=True) is None
    note = build_note(cpu.versions, gpu=False, speaks_of_cuda=True)
    assert note is not None
    assert "build with --gpu if it needs one" in note
    assert build_note(cpu.versions, gpu=False, is_option=True, speaks_of_cuda=True) is None


def test_a_cpu_build_in_the_index_of_pytorch(
    tmp_path: Path, wheels: Path, write_wheel: WriteWheel
) -> None:
    files = {"torch/__init__.py": b"CPU = True\n"}
    write_wheel(tmp_path / "index" / "torch", "torch", "0.9.2+cpu", files)
    write_wheel(tmp_path / "index" / "torchvision", "torchvision", "0.9.2+cpu")
    with served(tmp_path / "index") as index:
        requirements = wanted(wheels, "torch<1", "torchvision<1", index=index)
        lock = resolve(tmp_path, requirements, *surroundings(tmp_path))
        assert lock.versions["torch"] == lock.versions["torchvision"] == "0.9.2+cpu"
        assert CUDA not in lock.versions
        assert installed(tmp_path, lock, requirements.settings) == "CPU = True\n"


def test_another_package_that_is_gone_is_what_an_installation_tells_of(
    tmp_path: Path, wheels: Path, write_wheel: WriteWheel
) -> None:
    write_wheel(wheels, "torch", "0.9.2+cpu")
    gone = write_wheel(wheels, "elsewhere", "1.0")
    requirements = wanted(wheels, "torch<1", "elsewhere==1.0", index=NOWHERE)
    lock = resolve(tmp_path, requirements, *surroundings(tmp_path))
    assert lock.versions["torch"] == "0.9.2+cpu"
    gone.unlink()
    with pytest.raises(UserError, match=r"elsewhere==1\.0"):
        installed(tmp_path, lock, requirements.settings)


def test_a_torchvision_without_a_cpu_build_keeps_both(
    tmp_path: Path, wheels: Path, write_wheel: WriteWheel
) -> None:
    write_wheel(wheels, "torch", "0.9.1+cpu")
    found = lock_of(tmp_path, wheels, "torch<1", "torchvision<1").versions
    assert (found["torch"], found["torchvision"]) == ("0.9.2", "0.9.2")


def test_no_cpu_build_anywhere_is_said(tmp_path: Path, wheels: Path) -> None:
    versions = lock_of(tmp_path, wheels, "torch<1").versions
    assert versions["torch"] == "0.9.2"
    note = build_note(versions, gpu=False)
    assert note is not None
    assert "torch 0.9.2 is the CUDA build, some 4.5 GB" in note
    assert "although the service asks for no GPU" in note
    note = build_note(versions, gpu=False, is_option=True)
    assert note is not None
    assert "although --cpu asks for the other" in note


def test_what_has_no_gpu_gets_no_build_for_one_before_anything_is_installed(
    tmp_path: Path, wheels: Path, write_wheel: WriteWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, home, said = tmp_path / "project", Home(tmp_path / "home"), list[str]()
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text(
        f"service: service:S\npython: {{packages: [torch<1], find_links: [{wheels}]}}\n"
    )
    monkeypatch.setattr(build_inputs, "CPU_INDEX", NOWHERE)
    elsewhere = build(project, home, BuildOptions(), said.append)
    assert any("is the CUDA build" in each for each in elsewhere.warnings)
    said.clear()
    here = BuildOptions(cpu_only="Target moon")
    with pytest.raises(UserError, match=r"moon has no GPU, and of torch 0\.9\.2 only the CUDA"):
        build(project, home, here, said.append)
    assert said == ["Resolving the requirements"]
    write_wheel(wheels, "torch", "0.9.2+cpu")
    built = build(project, home, here, said.append)
    versions = Lock(Store(home).bento(Store(home).get("bento", built.tag)).lock).versions
    assert versions["torch"] == "0.9.2+cpu"


def test_what_the_user_pinned_stays(tmp_path: Path, wheels: Path, write_wheel: WriteWheel) -> None:
    write_wheel(wheels, "torch", "0.9.2+cpu")
    write_wheel(wheels, "torch", "0.9.2+cu99", requires=[CUDA])
    assert lock_of(tmp_path, wheels, "torch==0.9.2+cu99").versions["torch"] == "0.9.2+cu99"
    versions = lock_of(tmp_path, wheels, "torch==0.9.2+cpu", index=None).versions
    note = build_note(versions, gpu=True)
    assert note is not None
    assert "is the CPU build, although the service asks for a GPU" in note
    note = build_note(versions, gpu=True, is_option=True)
    assert note is not None
    assert "is the CPU build, although --gpu asks for the other" in note
