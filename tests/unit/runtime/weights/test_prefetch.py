from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.memory import Residency
from bentofn.runtime.weights.prefetch import is_being_read, prefetch
from bentofn.runtime.weights.sources.files import FileSource

if TYPE_CHECKING:
    from fakecuda import FakeCuda


def test_a_file_is_in_memory_when_it_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.ones(8 << 20)}, file)
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    prefetch(file).wait()
    size = file.stat().st_size
    assert all(Residency(descriptor, size).has(at, 1) for at in range(0, size, 1 << 20))
    os.close(descriptor)
    assert torch.equal(load_file(file)["a"], torch.ones(8 << 20))


def test_what_cannot_be_read_is_told_by_the_load(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    prefetch(tmp_path / "none", tmp_path / "empty").wait()
    with pytest.raises(UserError, match=r"Cannot read .*none: No such file"):
        load_file(tmp_path / "none")
    with pytest.raises(UserError, match="empty is not a whole safetensors file"):
        load_file(tmp_path / "empty")


def test_what_is_never_loaded_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.ones(1 << 20)}, file)

    def held() -> tuple[int, int, int]:
        maps = Path("/proc/self/maps").read_text().count(file.name)
        return len(list(Path("/proc/self/fd").iterdir())), maps, threading.active_count()

    before = held()
    for _ in range(10):
        first, second = prefetch(file), prefetch(file, file, tmp_path / "none")
        first.wait()
        second.wait()
    source = FileSource(file)
    assert not is_being_read(source)
    source.close()
    assert held() == before


def test_what_has_changed_in_between_is_loaded_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1 << 20)}, file)
    begun = prefetch(file)
    safetensors.torch.save_file({"a": torch.ones(1 << 20)}, tmp_path / "new")
    (tmp_path / "new").rename(file)
    sliced = load_files([file], slices={"a": (slice(2, 5),)}, dtype=torch.bfloat16)
    begun.wait()
    assert sliced["a"].tolist() == [1, 1, 1]
    assert sliced["a"].dtype == torch.bfloat16


def test_a_child_process_does_not_wait_for_its_parents_gpu(fake_cuda: FakeCuda) -> None:
    fake_cuda.hang("cuInit")
    script = """
import os, time, bentofn.weights
bentofn.weights.prefetch(device="cuda")
from bentofn.runtime.weights import staging
while not staging._rings.lock.locked():
    time.sleep(0.001)
child = os.fork()
if not child:
    bentofn.weights.release()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_device_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="such as cuda:1, not 'cuda:x'"):
        prefetch(tmp_path / "x", device="cuda:x")
    prefetch(tmp_path / "x", device=torch.device("cpu")).wait()


def test_the_gpu_is_woken_and_torch_is_not_imported(fake_cuda: FakeCuda, tmp_path: Path) -> None:
    script = f"""
import sys, bentofn.weights
bentofn.weights.prefetch({str(tmp_path / "none")!r}, device="cuda").wait()
bentofn.weights.release()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    calls = fake_cuda.calls()
    assert calls[:3] == ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"]
    assert calls.count("cuMemHostRegister_v2") == calls.count("cuMemHostUnregister") > 0
