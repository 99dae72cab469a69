"""What a user is told of GPUs and of the memory that instances have there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from instances import eventually

if TYPE_CHECKING:
    from conftest import Machine
    from fakecuda import FakeCuda

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
MIB = 1 << 20


def test_the_platform_tells_who_has_what_on_a_gpu_and_what_sleeps(
    machine: Machine, bentofn: Bentofn
) -> None:
    machine.deploy("a", model=9 * MIB)
    machine.deploy("b", model=9 * MIB)
    for name in "abab":
        machine.call(name, x=1.0)
    eventually(lambda: machine.status("a").state == "zero")
    said = json.loads(bentofn("emulator", "status", "--json", home=machine.home.path).stdout)
    memory = said["gpus"]
    ((gpu),) = memory["gpus"]
    assert (gpu["name"], gpu["total"], gpu["on_it"]) == ("0 Stand-in", 16 * MIB, 9 * MIB)
    (instance,) = machine.status("b").instances
    held = {"function": "b", "instance": instance.id, "memory": 9 * MIB, "known": True}
    assert gpu["holdings"] == [held]
    assert (memory["sleepers"], memory["asleep"]) == (1, 9 * MIB)
    text = bentofn("emulator", "status", home=machine.home.path).stdout
    assert "GPU 0 Stand-in: 9.4 MB of 16.8 MB taken" in text
    assert f"9.4 MB  b ({instance.id})" in text
    assert "1 instance sleeps: 9.4 MB of GPU memory in host memory" in text


def test_what_an_instance_needs_is_what_it_has_when_it_serves_no_more(
    machine: Machine, bentofn: Bentofn
) -> None:
    def has() -> tuple[int, bool]:
        said = json.loads(bentofn("emulator", "status", "--json", home=machine.home.path).stdout)
        (holding,) = said["gpus"]["gpus"][0]["holdings"]
        return holding["memory"], holding["known"]

    machine.deploy("a", snapshot="none", idle_timeout=2.0)
    (process,) = machine.processes()
    os.kill(process, signal.SIGKILL)  # one that is killed tells nothing
    eventually(lambda: machine.status("a").state == "zero")
    machine.call("a", "grow", size=8 * MIB)
    assert has() == (16 * MIB, False)
    eventually(lambda: machine.status("a").state == "zero")
    machine.call("a", x=1.0)
    assert has() == (9 * MIB, True)


def test_a_deployment_says_that_the_machine_has_no_gpu(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "dev" / "nvidia0").unlink()
    machine.deploy("a", snapshot="none")
    assert "This machine has no GPU, which the service asks for: it does without" in machine.told


def test_the_doctor_says_whether_gpu_memory_can_be_taken_out(
    fake_cuda: FakeCuda, tmp_path: Path, bentofn: Bentofn
) -> None:
    def finding(**variables: str) -> tuple[bool, str]:
        said = json.loads(bentofn("doctor", "--json", home=tmp_path / "home", **variables).stdout)
        (found,) = [f for f in said["findings"] if f["what"] == "GPU memory checkpointed"]
        return found["ok"], found["detail"]

    ok, detail = finding()
    assert ok
    assert "Stand-in, 1.1 GB; driver" in detail
    assert "for CUDA 13.0" in detail
    assert finding(BENTOFN_LIBCUDA="") == (False, "no NVIDIA driver here (libcuda.so.1)")
    ok, detail = finding(BENTOFN_FAKECUDA_VERSION="12040")
    assert (ok, "driver 570" in detail) == (False, True)
    fake_cuda.fail("cuInit=100")
    assert finding() == (False, "The NVIDIA driver does not start: CUDA_ERROR_NO_DEVICE")
