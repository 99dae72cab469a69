"""Instances get their weights from the keeper, and plainly where it does not give them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.weights.keeper.wire import VARIABLE, Request
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.plan import Range
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Staging, Tuning

if TYPE_CHECKING:
    from fakecuda import FakeCuda


@pytest.fixture
def path(tmp_path: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A keeper's socket."""
    socket_path = tmp_path / "keeper"
    command = [sys.executable, "-m", "bentofn.runtime.weights.keeper", str(socket_path)]
    keeper = subprocess.Popen([*command, "--gigabytes", "0.02"], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    assert "Keeping weights" in keeper.stdout.readline()
    monkeypatch.setenv(VARIABLE, str(socket_path))
    yield socket_path
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(timeout=30) == 0
    assert not socket_path.exists()


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


def test_only_its_user_may_open_the_socket(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[" * 9999 + b"\n",
        Request("GPU-1", bytes(64), 0, [Range(0, 0, 1 << 40)]).encode(),
        Request("GPU-1", bytes(64), 0, [Range(0, 0, 1)]).encode(),
        json.dumps({"gpu": "", "handle": "00" * 64, "offset": -1, "ranges": []}).encode() + b"\n",
    ],
)
def test_what_is_no_request_is_not_answered_and_harms_nothing(
    path: Path, target: Target, tmp_path: Path, fake_cuda: FakeCuda, line: bytes
) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file(given(), file)
    load_until_kept(target, file, fake_cuda)
    with socket.socket(socket.AF_UNIX) as connection, file.open("rb") as opened:
        connection.connect(str(path))
        connection.settimeout(30)
        socket.send_fds(connection, [line], [opened.fileno()])
        assert connection.recv(100) == b""
    assert_given(load_until_kept(target, file, fake_cuda))


def test_without_a_driver_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_LIBCUDA", "")
    command = [sys.executable, "-m", "bentofn.runtime.weights.keeper", str(tmp_path / "s")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert run.returncode == 1
    assert "There is no driver" in run.stderr
