from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bentofn.runtime.cuda.checkpoint import CannotCheckpoint, State
from bentofn.runtime.cuda.controller import Controller

if TYPE_CHECKING:
    from fakecuda import FakeCuda

PROGRAM = """
import ctypes, sys
cuda = ctypes.CDLL(sys.argv[1])
cuda.cuInit(0)
memory = ctypes.create_string_buffer(bytes(range(256)) * 4096)
cuda.held(ctypes.c_uint64(ctypes.addressof(memory)), ctypes.c_size_t(1 << 20))
cuda.gate(b"cuMemAlloc_v2")
print("up", flush=True)
for line in sys.stdin:
    failed = cuda.gate(b"cuMemcpyDtoH_v2")
    print("failed" if failed else sum(memory.raw[:-1]), flush=True)
"""
SUM = 255 * 128 * 4096


class Target:
    """A process that holds a mebibyte on the device and answers what is in it."""

    def __init__(self, library: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(library)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.read() == "up"

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        self.ask()
        return self.read()

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def target(fake_cuda: FakeCuda) -> Iterator[Target]:
    target = Target(fake_cuda.path)
    with target.process:
        yield target
        target.process.kill()


@pytest.fixture
def controller(fake_cuda: FakeCuda) -> Iterator[Controller]:
    controller = Controller()
    yield controller
    controller.close()


def test_what_a_process_holds_is_taken_out_and_put_back(
    fake_cuda: FakeCuda, target: Target, controller: Controller
) -> None:
    assert controller.version() >= 12080
    for _ in range(100):
        assert fake_cuda.on_device(target.pid) == 1 << 20
        controller.take_out(target.pid)
        assert controller.state(target.pid) is State.CHECKPOINTED
        assert fake_cuda.on_device(target.pid) == 0
        controller.put_back(target.pid)
        assert controller.state(target.pid) is State.RUNNING
        assert target.answer() == str(SUM)
    calls = fake_cuda.calls()
    assert calls.count("cuInit") == 2  # the process's own, and once for all orders
    made = [each.removeprefix("cuCheckpointProcess") for each in calls if "Checkpoint" in each]
    one = ["Lock", "Checkpoint", "GetState", "Restore", "Unlock", "GetState"]
    assert made == one * 100


def test_a_call_of_cuda_waits_until_the_memory_is_back(
    target: Target, controller: Controller
) -> None:
    controller.take_out(target.pid)
    target.ask()
    controller.put_back(target.pid)
    assert target.read() == str(SUM)


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        ("Lock", 600, "still busy on the GPU"),
        ("Lock", 801, "managed memory.*MIG.*MPS.*IPC.*NCCL.*before_snapshot hook"),
        ("Checkpoint", 801, "managed memory.*MIG.*MPS.*IPC.*NCCL.*before_snapshot hook"),
        ("Checkpoint", 2, "too little host memory"),
        ("Checkpoint", 304, "run the platform as root"),
    ],
)
def test_a_process_that_cannot_be_taken_out_is_told_of_and_not_left_locked(
    fake_cuda: FakeCuda, target: Target, controller: Controller, call: str, code: int, sentence: str
) -> None:
    fake_cuda.fail(f"cuCheckpointProcess{call}={code}")
    with pytest.raises(CannotCheckpoint, match=sentence):
        controller.take_out(target.pid)
    assert controller.state(target.pid) in (State.RUNNING, State.FAILED)
    assert target.answer() in (str(SUM), "failed")


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        ("Restore", 2, "too little memory left.*other programs"),
        ("Restore", 101, "not the one, or not of the model"),
        ("Unlock", 401, "not in the state"),
    ],
)
def test_a_process_that_cannot_be_put_back_is_told_of(
    fake_cuda: FakeCuda, target: Target, controller: Controller, call: str, code: int, sentence: str
) -> None:
    controller.take_out(target.pid)
    fake_cuda.fail(f"cuCheckpointProcess{call}={code}")
    with pytest.raises(CannotCheckpoint, match=sentence):
        controller.put_back(target.pid)


def test_a_process_without_cuda_is_refused(controller: Controller) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        with pytest.raises(CannotCheckpoint, match="does not use CUDA"):
            controller.take_out(other.pid)
        other.kill()


def test_a_driver_that_is_too_old_says_what_is_needed(
    fake_cuda: FakeCuda, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_VERSION", "12040")
    with pytest.raises(CannotCheckpoint, match=r"CUDA 12\.4.*driver 570 \(CUDA 12\.8\) or later"):
        controller.version()


def test_no_driver_is_said(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_LIBCUDA", "")
    with pytest.raises(CannotCheckpoint, match="no NVIDIA driver"):
        controller.version()


def test_a_driver_that_does_not_start_is_said_with_its_reason(
    fake_cuda: FakeCuda, controller: Controller
) -> None:
    fake_cuda.fail("cuInit=100")
    with pytest.raises(CannotCheckpoint, match="CUDA_ERROR_NO_DEVICE"):
        controller.version()


def children() -> set[int]:
    return set(map(int, Path("/proc/thread-self/children").read_text().split()))


def eventually(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_controller_that_was_killed_is_started_again(
    target: Target, controller: Controller
) -> None:
    before = children()
    controller.version()
    (pid,) = children() - before
    os.kill(pid, 9)
    eventually(lambda: not children() - before)
    controller.take_out(target.pid)
    controller.put_back(target.pid)
    assert target.answer() == str(SUM)


def test_orders_that_a_controller_dies_over_fail(
    fake_cuda: FakeCuda, target: Target, controller: Controller
) -> None:
    before = children()
    controller.version()
    (pid,) = children() - before
    fake_cuda.hang("cuCheckpointProcessLock")
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(controller.take_out, target.pid)
        eventually(lambda: "cuCheckpointProcessLock" in fake_cuda.calls())
        os.kill(pid, 9)
        with pytest.raises(CannotCheckpoint, match="controller ended"):
            answer.result(30)


def test_an_order_that_takes_too_long_ends_the_controller(
    fake_cuda: FakeCuda, target: Target, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    controller.version()
    for name in ("START", "LOCK", "MOVE"):
        monkeypatch.setattr(f"bentofn.runtime.cuda.controller.{name}", 0.2)
    fake_cuda.hang("cuCheckpointProcessCheckpoint")
    with pytest.raises(CannotCheckpoint, match="did not answer within"):
        controller.take_out(target.pid)
    assert children() == before


@pytest.mark.parametrize(
    "line",
    ["[]", "{}", "nonsense", '{"number": 1}', '{"number": [1], "value": 0}', '"' + "x" * 99999],
)
def test_a_controller_that_says_nonsense_is_ended(
    controller: Controller,
    fake_cuda: FakeCuda,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
) -> None:
    before = children()
    other = tmp_path / "other"
    other.write_text(f"#!/bin/bash\necho '{line}' >&$3\nexec sleep 60\n")
    other.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(other))
        with pytest.raises(CannotCheckpoint, match="the controller ended"):
            controller.version()
    eventually(lambda: children() == before)
    assert controller.version() >= 12080


def test_a_controller_that_cannot_be_started(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(CannotCheckpoint, match="cannot be started: No such file"):
        controller.version()


def test_two_platforms_at_once(fake_cuda: FakeCuda, target: Target, controller: Controller) -> None:
    others = Controller()
    with Target(fake_cuda.path).process as process, ThreadPoolExecutor() as threads:

        def rounds(controller: Controller, pid: int) -> None:
            for _ in range(10):
                controller.take_out(pid)
                assert fake_cuda.on_device(pid) == 0
                controller.put_back(pid)

        turns = [
            threads.submit(rounds, controller, target.pid),
            threads.submit(rounds, others, process.pid),
        ]
        for turn in turns:
            turn.result(30)
        process.kill()
    controller.take_out(target.pid)
    with pytest.raises(CannotCheckpoint, match="another program has locked it"):
        others.take_out(target.pid)
    controller.put_back(target.pid)
    assert target.answer() == str(SUM)
    others.close()


def test_a_controller_ends_with_who_started_it(fake_cuda: FakeCuda, tmp_path: Path) -> None:
    program = """
from bentofn.runtime.cuda.controller import Controller
import os, pathlib
controller = Controller()
controller.version()
print(pathlib.Path("/proc/thread-self/children").read_text().split()[0], flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    pid = int(done.stdout)
    eventually(lambda: not is_controller(pid))


def is_controller(pid: int) -> bool:
    try:
        return b"controller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_closed_controller_takes_no_orders(controller: Controller) -> None:
    before = children()
    controller.version()
    controller.close()
    assert children() == before
    with pytest.raises(CannotCheckpoint, match="the platform ends"):
        controller.version()


def test_the_gpus_are_named_as_cuda_takes_them(controller: Controller) -> None:
    (device,) = controller.devices()
    assert device.id == "GPU-00000000-0000-0000-0000-000000000000"
    assert (device.number, device.model, device.memory) == (0, "Stand-in", 1 << 30)


def test_of_several_gpus_those_are_told_that_the_user_leaves(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_DEVICES", "4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert [each.id[-2:] for each in controller.devices()] == ["02", "01"]


def test_a_slice_of_a_gpu_is_named_as_one(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_MODEL", "NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    (device,) = controller.devices()
    assert device.id == "MIG-00000000-0000-0000-0000-000000000000"


def test_a_driver_that_is_too_old_tells_of_the_gpus(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_VERSION", "12040")
    (device,) = controller.devices()
    assert device.memory == 1 << 30
