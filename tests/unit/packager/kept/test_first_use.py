"""When a bento's examples are answered to keep what they compile, and how often."""

from __future__ import annotations

import sys
import sysconfig
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bentofn.packager.home import Home
from bentofn.packager.kept.collect import Collected
from bentofn.packager.kept.first_use import FirstUse
from bentofn.packager.kept.place import keep
from bentofn.packager.roots.stage import stage
from bentofn.packager.runtime_files import runtime_files
from bentofn.runtime.kept.host import Host
from bentofn.runtime.kept.layer import RECORD, Kept
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract

DIGEST = "sha256:" + "ab" * 32
GPU = Host("x86_64", ("avx2",), "NVIDIA H100", "580.126")
CPU = replace(GPU, gpu="", driver="")
SERVICE = """
import os
import bentofn

@bentofn.service
class Kernels:
    def __init__(self) -> None:
        folder = os.environ["TRITON_CACHE_DIR"] + "/KEY"
        os.makedirs(folder)
        open(folder + "/add.cubin", "w").close()

    @bentofn.api(examples=[{}])
    def run(self) -> None:
        if "NO_ROOM" in os.environ:
            raise MemoryError("the GPU is full")
"""


@pytest.fixture
def use(tmp_path: Path) -> FirstUse:
    """Of a bento with Triton, which carries nothing."""
    root = BentoRoot(tmp_path / "root")
    stage(root.runtime, runtime_files())
    root.source.mkdir()
    (root.source / "service.py").write_text(SERVICE)
    root.environment.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if each.suffix != ".pth" and "bentofn" not in each.name:
            (root.environment / each.name).symlink_to(each)
    (root.environment / "triton").mkdir(exist_ok=True)
    schema = {"type": "object"}
    api = APIContract("run", "/run", schema, schema, examples=({},))
    contract = ServiceContract("Kernels", "service:Kernels", apis=(api,))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    manifest = BentoManifest("kernels", "1", contract, python, "linux/amd64")
    root.manifest.write_bytes(manifest.to_json())
    return FirstUse(
        Home(tmp_path / "home"), DIGEST, root, manifest, Path(sys.executable).resolve(),
        {"BENTOFN_ROOT": str(root.path)}, GPU, True, lambda line: None, threading.Event(),
    )  # fmt: skip


def compiled_on(host: Host, folder: Path) -> Kept:
    """What a layer holds that was made on a machine."""
    kept = Kept(host, {}, {})
    (folder / "any").mkdir(parents=True)
    (folder / "any" / RECORD).write_bytes(kept.to_json())
    return kept


def test_what_was_compiled_without_a_gpu_is_compiled_again_with_one(use: FirstUse) -> None:
    assert use.is_due()  # it may compile
    assert not replace(use, gpu=False).is_due()
    kept = compiled_on(CPU, use.root.compiled)
    assert use.is_due()
    assert not replace(use, host=CPU).is_due()
    assert not replace(use, gpu=False).is_due()
    kernel = use.root.path / "add.cubin"
    kernel.touch()
    files = {"triton/KEY/add.cubin": kernel}
    keep(use.home, DIGEST, Collected(replace(kept, host=GPU), files))
    assert not use.is_due()
    assert replace(use, host=replace(GPU, gpu="NVIDIA A100")).is_due()


def test_examples_that_fail_are_tried_again_and_not_for_ever(use: FirstUse) -> None:
    said: list[str] = []
    failing = replace(use, env={**use.env, "NO_ROOM": "1"}, tell=said.append)
    for _ in range(3):
        assert failing.is_due()
        failing.make()
    assert not use.is_due()
    assert not use.place.joinpath(RECORD).exists()
    problems = [line for line in said if "MemoryError: the GPU is full" in line]
    assert [line.endswith("that is not tried again") for line in problems] == [False, False, True]
    assert not any("compile nothing here" in line for line in said)


def test_what_they_lacked_may_be_there_the_next_time(use: FirstUse) -> None:
    replace(use, env={**use.env, "NO_ROOM": "1"}).make()
    said: list[str] = []
    replace(use, tell=said.append).make()
    assert "kept for this machine what the examples compile" in said[-1]


def test_a_process_that_ends_is_not_one_that_compiles_nothing(use: FirstUse) -> None:
    (use.root.source / "service.py").write_text("import os, signal; os.kill(os.getpid(), 9)")
    said: list[str] = []
    replace(use, tell=said.append).make()
    assert "their process ended with status -9" in said[-1]
