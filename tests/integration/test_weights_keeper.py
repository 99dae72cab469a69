"""Instances get their weights from the keeper, and plainly where it does not give them."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.keeper import client
from bentofn.runtime.weights.keeper.wire import VARIABLE, Request, receive_line
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.plan import Range, whole
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Staging, Tuning

if TYPE_CHECKING:
    from fakecuda import FakeCuda


COMMAND = [sys.executable, "-m", "bentofn.runtime.weights.keeper"]
Keeper = subprocess.Popen[str]


@pytest.fixture
def keeper(tmp_path: Path, fake_cuda: FakeCuda) -> Iterator[Keeper]:
    command = [*COMMAND, str(tmp_path / "keeper"), "--gigabytes", "0.02"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "Keeping weights" in process.stdout.readline()
        yield process
        process.send_signal(signal.SIGKILL)


@pytest.fixture
def path(keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keeper's socket."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keeper"))
    return tmp_path / "keeper"


@pytest.fixture
def target(fake_cuda: FakeCuda) -> Iterator[Target]:
    library = Library.find()
    assert library is not None
    staging = Staging(Context(library, 0), Tuning(threads=2, slot=2 << 20))
    yield Target(torch.device("cpu"), staging)
    staging.close()


def given(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {"a": torch.randn(1 << 20), "b": torch.arange(1000), "empty": torch.empty(0)}


def load(target: Target, file: Path) -> dict[str, torch.Tensor]:
    source = FileSource(file)
    try:
        return load_onto(target, [source])
    finally:
        source.close()


def plainly(fake: FakeCuda) -> int:
    """How many copies this process has asked for itself."""
    mine = f"{os.getpid()} "
    return sum(line.startswith(mine) and "HtoDAsync" in line for line in fake.lines())


def load_until_kept(target: Target, file: Path, fake: FakeCuda) -> dict[str, torch.Tensor]:
    """Load until the keeper does it: it pins a file after the first request for it."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        before = plainly(fake)
        found = load(target, file)
        if plainly(fake) == before:
            return found
    raise AssertionError("the keeper does not keep the file")


def assert_given(found: dict[str, torch.Tensor], seed: int = 0) -> None:
    wanted = given(seed)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_the_next_load_is_the_keepers(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    safetensors.torch.save_file(given(), tmp_path / "x.safetensors")
    assert_given(load(target, tmp_path / "x.safetensors"))
    assert_given(load_until_kept(target, tmp_path / "x.safetensors", fake_cuda))


def test_every_load_is_the_keepers_from_then_on(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    safetensors.torch.save_file({"a": torch.ones(10)}, tmp_path / "x.safetensors")
    load_until_kept(target, tmp_path / "x.safetensors", fake_cuda)
    before = plainly(fake_cuda)
    for _ in range(300):
        load(target, tmp_path / "x.safetensors")
    assert plainly(fake_cuda) == before


def test_a_file_that_was_replaced_is_not_the_one_that_is_kept(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    file = tmp_path / "x.safetensors"
    for seed in (0, 1):
        safetensors.torch.save_file(given(seed), file)
        assert_given(load_until_kept(target, file, fake_cuda), seed)


def test_the_least_recently_used_makes_room(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    """Of 4 MB each, in 20 MB."""
    for seed in range(8):
        safetensors.torch.save_file(given(seed), tmp_path / f"{seed}.safetensors")
        assert_given(load_until_kept(target, tmp_path / f"{seed}.safetensors", fake_cuda), seed)
    lines = [line for line in fake_cuda.lines() if not line.startswith(f"{os.getpid()} ")]
    assert sum("cuMemHostUnregister" in line for line in lines) >= 3


def test_a_driver_that_pins_no_mapping_gets_a_copy(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    safetensors.torch.save_file(given(), tmp_path / "x.safetensors")
    fake_cuda.fail("cuMemHostRegister_v2:1=801")  # of each process the first
    assert_given(load_until_kept(target, tmp_path / "x.safetensors", fake_cuda))


def test_a_keeper_that_fails_is_done_without(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file(given(), file)
    load_until_kept(target, file, fake_cuda)
    for call in ("cuIpcGetMemHandle", "cuIpcOpenMemHandle_v2", "cuMemGetAddressRange_v2"):
        fake_cuda.fail(f"{call}=1")
        assert_given(load(target, file))
    fake_cuda.fail()
    assert_given(load_until_kept(target, file, fake_cuda))


def test_without_a_keeper(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    safetensors.torch.save_file(given(), tmp_path / "x.safetensors")
    assert_given(load(target, tmp_path / "x.safetensors"))


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
@pytest.mark.parametrize("interrupted", [False, True])
def test_memory_is_kept_until_a_keeper_that_hangs_goes_on_or_ends(
    keeper: Keeper,
    path: Path,
    target: Target,
    tmp_path: Path,
    fake_cuda: FakeCuda,
    monkeypatch: pytest.MonkeyPatch,
    then: signal.Signals,
    interrupted: bool,
) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file(given(), file)
    load_until_kept(target, file, fake_cuda)
    keeper.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(client, "_PATIENCE", 30.0 if interrupted else 0.3)
    if interrupted:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    source = FileSource(file)
    plan = whole(source.header)
    memory = torch.empty(plan.size, dtype=torch.uint8)
    of = weakref.ref(memory)
    with pytest.raises(KeyboardInterrupt if interrupted else UserError):
        client.copied(source, plan, target.staging.context, memory.data_ptr(), memory)
    source.close()
    del memory
    gc.collect()
    assert of() is not None
    keeper.send_signal(then)
    eventually(lambda: of() is None)
    assert_given(load(target, file))


def test_a_keeper_that_hangs_is_told_of(
    keeper: Keeper,
    path: Path,
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_PATIENCE", 0.3)
    safetensors.torch.save_file(given(), tmp_path / "x.safetensors")
    keeper.send_signal(signal.SIGSTOP)
    with pytest.raises(UserError, match=f"does not answer; restart it, or unset {VARIABLE}"):
        load(target, tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("offset", "part"),
    [
        (0, Range(0, 4000, 97)),
        (0, Range(0, (1 << 64) - 8, 8)),
        (4096, Range(0, 0, 1)),
        ((1 << 64) - 4, Range(0, 4, 8)),
    ],
)
def test_nothing_is_written_outside_of_the_allocation(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda, offset: int, part: Range
) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file(given(), file)
    load_until_kept(target, file, fake_cuda)
    copies = [line for line in fake_cuda.lines() if "HtoDAsync" in line]
    with target.staging.context as context:
        memory = ctypes.c_uint64()
        context.library.call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(4096))
        handle, _ = context.export(memory.value)
    answer = told(path, Request(GPU, handle, offset, [part]).encode(), file)
    assert "of an allocation of 4096 bytes" in answer["error"]
    assert [line for line in fake_cuda.lines() if "HtoDAsync" in line] == copies
    with target.staging.context as context:
        context.library.call("cuMemFree_v2", memory)


def test_only_its_user_may_open_the_socket(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to_and_leaves_no_socket(
    keeper: Keeper, path: Path, end: signal.Signals
) -> None:
    keeper.send_signal(end)
    assert keeper.wait(timeout=30) == 0
    assert not path.exists()


def test_it_outlives_that_it_has_no_descriptors_left(
    keeper: Keeper, path: Path, tmp_path: Path
) -> None:
    before = resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, (1, before[1]))
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.wait(timeout=0.5)
    resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, before)
    assert "not one of bentofn's" in told(path, b"\n")["error"]


def test_a_socket_that_a_dead_keeper_left_is_replaced(keeper: Keeper, path: Path) -> None:
    keeper.kill()
    keeper.wait()
    assert path.exists()
    with subprocess.Popen([*COMMAND, str(path)], stdout=subprocess.PIPE, text=True) as another:
        assert another.stdout is not None
        assert "Keeping weights" in another.stdout.readline()
        another.terminate()


def refused(*arguments: str) -> str:
    """What a keeper says that does not start."""
    run = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    assert run.returncode in (1, 2)
    assert "Traceback" not in run.stderr
    return run.stderr


def test_a_file_is_not_taken_for_a_socket(fake_cuda: FakeCuda, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"weights")
    assert "x.safetensors is a file, and no socket of a keeper's" in refused(str(file))
    assert file.read_bytes() == b"weights"


def test_two_keepers_at_one_socket(path: Path) -> None:
    assert "Another keeper listens at" in refused(str(path))
    assert path.exists()


def test_a_socket_that_cannot_be(fake_cuda: FakeCuda, tmp_path: Path) -> None:
    assert "none/s: No such file" in refused(str(tmp_path / "none" / "s"))
    assert "too long" in refused(str(tmp_path / ("long" * 40)))


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "all"])
def test_a_budget_that_is_none(tmp_path: Path, size: str) -> None:
    assert f"invalid gigabytes value: '{size}'" in refused(
        str(tmp_path / "s"), f"--gigabytes={size}"
    )


GPU = "GPU-00000000-0000-0000-0000-000000000000"


def told(path: Path, line: bytes, *files: Path) -> dict[str, Any]:
    """What a keeper answers."""
    with socket.socket(socket.AF_UNIX) as connection, ExitStack() as stack:
        opened = [stack.enter_context(file.open("rb")) for file in files]
        connection.connect(str(path))
        connection.settimeout(30)
        sent = socket.send_fds(connection, [line], [file.fileno() for file in opened])
        if sent < len(line):  # else it may have answered already, and hung up
            connection.sendall(line[sent:])
        found: dict[str, Any] = json.loads(receive_line(connection))
        assert connection.recv(1) == b""
        return found


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "not one of bentofn's"),
        (b"[" * 9999 + b"\n", "not one of bentofn's"),
        (b" " * (1 << 20) + b"\n", "longer than 1048576 bytes"),
        (Request("GPU-1", bytes(64), 0, []).encode(), "'GPU-1', a GPU that the keeper has not"),
        (Request(GPU, bytes(64), 0, [Range(0, 0, 1)]).encode(), "cuIpcOpenMemHandle_v2"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_harms_nothing(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda, line: bytes, why: str
) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file(given(), file)
    load_until_kept(target, file, fake_cuda)
    assert why in told(path, line, file)["error"]
    assert (
        "without its file"
        in told(path, Request(GPU, bytes(64), 0, []).encode(), file, file)["error"]
    )
    assert_given(load_until_kept(target, file, fake_cuda))


def test_without_a_driver_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_LIBCUDA", "")
    assert "There is no driver" in refused(str(tmp_path / "s"))
