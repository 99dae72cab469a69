from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file
from bentofn.runtime.weights.memory import Residency
from bentofn.runtime.weights.prefetch import prefetch

if TYPE_CHECKING:
    from fakecuda import FakeCuda


def test_a_file_is_in_memory_when_it_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.ones(1 << 20)}, file)
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    prefetch(file).wait()
    size = file.stat().st_size
    assert Residency(descriptor, size).has(0, size)
    os.close(descriptor)
    assert torch.equal(load_file(file)["a"], torch.ones(1 << 20))


def test_what_cannot_be_read_is_told_by_the_load(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    prefetch(tmp_path / "none", tmp_path / "empty").wait()


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
