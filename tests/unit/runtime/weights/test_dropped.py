"""Weights that are dropped and read again, by the stand-in for the driver."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from bentofn.runtime import lifecycle, renew, threads
from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.protocol import TAKEN_OUT
from bentofn.runtime.weights import dropped
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Staging, Tuning

if TYPE_CHECKING:
    from fakecuda import FakeCuda

SIZE = 3000 * 1000 * 4 + (1 << 20) * 2


@pytest.fixture
def target(fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    monkeypatch.setenv(TAKEN_OUT, "1")
    library = Library.find()
    assert library is not None
    staging = Staging(Context(library, 0), Tuning(threads=3, slots=2, slot=2 << 20))
    yield Target(torch.device("cpu"), staging)
    staging.close()
    dropped.drop()


def save(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    given = {"large": torch.randn(3000, 1000), "half": torch.randn(1 << 20).half()}
    safetensors.torch.save_file(given, path)
    return given


def test_tensors_are_the_same_objects_with_the_same_values(target: Target, tmp_path: Path) -> None:
    given = save(tmp_path / "x.safetensors")
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")])
    before = {name: id(tensor) for name, tensor in found.items()}
    part = found["large"][7]
    for _ in range(3):
        assert dropped.drop() == SIZE
        assert found["large"].untyped_storage().nbytes() == 0
        dropped.reload()
        assert {name: id(tensor) for name, tensor in found.items()} == before
        assert all(torch.equal(found[name], tensor) for name, tensor in given.items())
        assert torch.equal(part, given["large"][7])


def test_nothing_waits_for_the_gpu_before_they_are_read(target: Target, tmp_path: Path) -> None:
    save(tmp_path / "x.safetensors")
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")])
    seen: list[int] = []
    renewals = [lambda: seen.append(found["large"].untyped_storage().nbytes())]
    copied = lifecycle.Renewable(object(), renewals, threads.Pools.find())
    before, number = dict(os.environ), torch.get_num_threads()
    dropped.drop()
    lifecycle.restore(copied, before, number, lambda: None)
    renew.renew_environment(before)
    assert seen == [SIZE]


def test_slices_are_read_again(target: Target, tmp_path: Path) -> None:
    given = save(tmp_path / "x.safetensors")
    wanted = {"large": (slice(3, 5), slice(100, 200))}
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")], wanted=wanted)
    assert dropped.drop() > 0
    dropped.reload()
    assert torch.equal(found["large"], given["large"][3:5, 100:200])


@pytest.fixture
def dirty_memory() -> Iterator[None]:
    """What torch allocates is not zeros."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_bytes_between_slices_are_nobodys(
    target: Target, tmp_path: Path, dirty_memory: None
) -> None:
    given = save(tmp_path / "x.safetensors")
    wanted = {"large": (slice(3, 5), slice(0, 7)), "half": (slice(1, 4),)}
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")], wanted=wanted)
    assert dropped.drop() > 0
    dropped.reload()
    assert torch.equal(found["large"], given["large"][3:5, :7])
    assert torch.equal(found["half"], given["half"][1:4])


def add(tensor: torch.Tensor) -> None:
    tensor[2999, 999] += 1


def swap_rows(tensor: torch.Tensor) -> None:
    tensor[:2] = tensor[:2].flip(0)


@pytest.mark.parametrize("change", [add, swap_rows])
def test_weights_that_were_changed_are_kept(
    target: Target, tmp_path: Path, change: Callable[[torch.Tensor], None]
) -> None:
    save(tmp_path / "x.safetensors")
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")])
    change(found["large"].data)  # which torch's own counter of changes does not see
    changed = found["large"].clone()
    assert dropped.drop() == 0
    dropped.reload()
    assert torch.equal(found["large"], changed)


def test_weights_stay_where_cuda_graphs_have_their_addresses(
    target: Target, tmp_path: Path
) -> None:
    given = save(tmp_path / "x.safetensors")
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")])
    base = torch._C._CUDAGraph if torch.backends.cuda.is_built() else object
    graph = base.__new__(torch.cuda.CUDAGraph)  # which without a GPU captures nothing
    address = found["large"].data_ptr()
    gc.freeze()  # as a service's objects are at its snapshot point
    try:
        assert dropped.drop() == 0
    finally:
        gc.unfreeze()
    dropped.reload()
    assert found["large"].data_ptr() == address
    assert torch.equal(found["large"], given["large"])
    del graph
    assert dropped.drop() == SIZE


def test_weights_that_nobody_has_any_more_are_forgotten(target: Target, tmp_path: Path) -> None:
    save(tmp_path / "x.safetensors")
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")])
    del found
    gc.collect()
    assert dropped.drop() == 0


def test_a_file_that_was_changed_meanwhile_is_an_error(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    given = save(path)
    found = load_onto(target, [FileSource(path)])
    dropped.drop()
    safetensors.torch.save_file({**given, "large": given["large"] + 1}, path)
    with pytest.raises(UserError, match=r"x\.safetensors is not what it was"):
        dropped.reload()
    del found


def test_nothing_is_remembered_where_nobody_asks(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TAKEN_OUT)
    save(tmp_path / "x.safetensors")
    found = load_onto(target, [FileSource(tmp_path / "x.safetensors")])
    assert dropped.drop() == 0
    assert found["large"].untyped_storage().nbytes() == SIZE
