"""Files onto a GPU, by the stand-in for the driver: its device memory is host memory."""

from __future__ import annotations

import ctypes
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights import onto
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Staging, Tuning

if TYPE_CHECKING:
    from fakecuda import FakeCuda

SMALL = Tuning(threads=3, slots=2, slot=2 << 20)


@pytest.fixture
def library(fake_cuda: FakeCuda) -> Library:
    found = Library.find()
    assert found is not None
    return found


@pytest.fixture
def target(library: Library) -> Iterator[Target]:
    staging = Staging(Context(library, 0), SMALL)
    yield Target(torch.device("cpu"), staging)
    staging.close()


def save(folder: Path, tensors: dict[str, torch.Tensor], name: str = "x.safetensors") -> FileSource:
    safetensors.torch.save_file(tensors, folder / name)
    return FileSource(folder / name)


def many() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "large": torch.randn(3000, 1000),
        "half": torch.randn(1 << 20).half(),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.empty(0, 4),
    }


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def pending(fake: FakeCuda) -> int:
    """Copies that are under way."""
    return int(ctypes.CDLL(str(fake.path)).fakecudaPending())


def events(fake: FakeCuda) -> int:
    return int(ctypes.CDLL(str(fake.path)).fakecudaEvents())


def pinned(fake: FakeCuda) -> int:
    """Bytes of host memory that this process has pinned, by whatever test."""
    registered = ctypes.CDLL(str(fake.path)).fakecudaRegistered
    registered.restype = ctypes.c_size_t
    return int(registered())


def test_all_of_a_file_is_there_when_it_returns(target: Target, tmp_path: Path) -> None:
    assert_same(load_onto(target, [save(tmp_path, many())]), many())


def test_tensors_are_views_of_one_allocation(target: Target, tmp_path: Path) -> None:
    given = {"a": torch.randn(100), "b": torch.randn(4, 4)}
    found = load_onto(target, [save(tmp_path, given)])
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()


def test_what_the_page_cache_lacks_is_read_past_it(target: Target, tmp_path: Path) -> None:
    source = save(tmp_path, many())
    os.fsync(source.descriptor)
    os.posix_fadvise(source.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    assert_same(load_onto(target, [source]), many())


def test_the_ring_is_pinned_once_and_only_as_much_as_is_needed(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    load_onto(target, [save(tmp_path, {"a": torch.ones(10)})])
    assert fake_cuda.calls().count("cuMemHostRegister_v2") == 1
    for _ in range(5):
        load_onto(target, [save(tmp_path, many())])
    assert fake_cuda.calls().count("cuMemHostRegister_v2") <= SMALL.threads * SMALL.slots
    assert target.staging.pinned <= SMALL.threads * SMALL.slots * SMALL.slot


def test_small_files_one_after_the_other_pin_no_more_than_one(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    for _ in range(5):
        load_onto(target, [save(tmp_path, {"a": torch.ones(10)})])
    assert fake_cuda.calls().count("cuMemHostRegister_v2") == 1


def test_what_is_given_back_is_taken_anew(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    before = pinned(fake_cuda), events(fake_cuda)
    load_onto(target, [save(tmp_path, {"a": torch.ones(10)})])
    assert target.staging.pinned > 0
    target.staging.close()
    assert target.staging.pinned == 0
    assert (pinned(fake_cuda), events(fake_cuda)) == before
    assert_same(load_onto(target, [save(tmp_path, many())]), many())


def test_a_file_that_no_device_has_room_for(target: Target, tmp_path: Path) -> None:
    """A hole of 8 TiB; what torch raises is what it always raises then."""
    size = 8 << 40
    header = {"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)
    with pytest.raises(RuntimeError, match="allocate"):
        load_onto(target, [FileSource(tmp_path / "huge.safetensors")])
    assert_same(load_onto(target, [save(tmp_path, many())]), many())


def test_floating_point_numbers_are_cast(target: Target, tmp_path: Path) -> None:
    found = load_onto(target, [save(tmp_path, many())], dtype=torch.bfloat16)
    assert_same(
        found,
        {n: t.bfloat16() if t.is_floating_point() else t for n, t in many().items()},
    )


def test_what_is_not_cast_keeps_no_memory_of_what_is(target: Target, tmp_path: Path) -> None:
    given = {"weight": torch.randn(1000, 1000), "ids": torch.arange(9)}
    found = load_onto(target, [save(tmp_path, given)], dtype=torch.bfloat16)
    assert found["ids"].untyped_storage().nbytes() == given["ids"].nbytes
    mostly = {"weight": torch.randn(1000, 1000), "norm": torch.randn(9).half()}
    found = load_onto(target, [save(tmp_path, mostly)], dtype=torch.float32)
    held = sum(each.untyped_storage().nbytes() for each in found.values())
    assert held < 1.1 * mostly["weight"].nbytes


@pytest.mark.parametrize("wanted", [None, {"0": (slice(100),), "2": (), "3": ()}])
def test_a_cast_has_one_part_of_a_file_on_the_gpu_twice(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Any
) -> None:
    monkeypatch.setattr(onto, "_GROUP", 1 << 20)
    there: list[int] = []

    def in_bytes() -> int:
        tensors = (each for each in gc.get_objects() if issubclass(type(each), torch.Tensor))
        return sum(each.nbytes for each in tensors if each.dtype == torch.uint8)

    class Watched(FileSource):
        def read(self, *arguments: Any) -> None:
            there.append(in_bytes() - before)
            super().read(*arguments)

    given = {str(number): torch.randn(1 << 18) for number in range(4)}
    source, before = Watched(save(tmp_path, given).path), in_bytes()
    found = load_onto(target, [source], dtype=torch.bfloat16, wanted=wanted)
    assert_same(
        found, {n: given[n][i].bfloat16() for n, i in (wanted or dict.fromkeys(given, ())).items()}
    )
    assert max(there) == 1 << 20


def test_slices_onto_a_gpu(target: Target, tmp_path: Path) -> None:
    source = save(tmp_path, many())
    found = load_onto(
        target, [source], wanted={"large": (slice(None), slice(300, 400)), "scalar": ()}
    )
    assert_same(found, {"large": many()["large"][:, 300:400], "scalar": many()["scalar"]})


def test_without_pinned_memory_the_driver_copies_from_plain_memory(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    fake_cuda.fail("cuMemHostRegister_v2=2")
    assert_same(load_onto(target, [save(tmp_path, many())]), many())
    assert target.staging.pinned == 0


def test_where_little_may_be_pinned_the_rest_is_plain_memory(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_PINNED", str(pinned(fake_cuda) + 2 * SMALL.slot))
    for _ in range(3):
        assert_same(load_onto(target, [save(tmp_path, many())]), many())
    assert target.staging.pinned == 2 * SMALL.slot


@pytest.mark.parametrize(
    "rule",
    [
        "cuMemcpyHtoDAsync_v2:3=700",
        "cuEventRecord:2=719",
        "cuStreamSynchronize:1=700",
        "cuEventCreate:2=2",
        "cuEventSynchronize:4=700",
    ],
)
def test_a_call_that_fails_is_one_error_and_the_next_load_works(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda, rule: str
) -> None:
    source = save(tmp_path, many())
    fake_cuda.fail(rule)
    call = rule.partition(":")[0]
    with pytest.raises(UserError, match=rf"x\.safetensors cannot be copied to cpu: {call}"):
        load_onto(target, [source])
    assert pending(fake_cuda) == 0  # the memory is given back
    fake_cuda.fail()
    assert_same(load_onto(target, [source]), many())


def test_a_file_that_cannot_be_read_leaves_no_copy_under_way(
    target: Target, tmp_path: Path, fake_cuda: FakeCuda
) -> None:
    source = save(tmp_path, many())
    os.truncate(source.path, 5_000_000)
    with pytest.raises(UserError, match="was changed while it was read"):
        load_onto(target, [source])
    assert pending(fake_cuda) == 0
