"""Files onto a GPU, by the stand-in for the driver: its device memory is host memory."""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.errors import UserError
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


def held(fake: FakeCuda) -> tuple[int, int, int]:
    """Bytes of pinned memory, streams and events that this process has of the stand-in."""
    library = ctypes.CDLL(str(fake.path))
    library.fakecudaRegistered.restype = ctypes.c_size_t
    return (
        library.fakecudaRegistered(),
        library.fakecudaStreams(),
        library.fakecudaEvents(),
    )


def test_all_of_a_file_is_there_when_it_returns(target: Target, tmp_path: Path) -> None:
    assert_same(load_onto(target, [save(tmp_path, many())]), many())


def test_tensors_are_views_of_one_allocation(target: Target, tmp_path: Path) -> None:
    given = {"a": torch.randn(100), "b": torch.randn(4, 4)}
    found = load_onto(target, [save(tmp_path, given)])
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()


def test_shards_are_read_into_an_allocation_each(target: Target, tmp_path: Path) -> None:
    first = save(tmp_path, {"a": torch.randn(1 << 20)}, "1.safetensors")
    second = save(tmp_path, {"b": torch.randn(1 << 20)}, "2.safetensors")
    found = load_onto(target, [first, second])
    assert_same(
        found,
        safetensors.torch.load_file(first.path) | safetensors.torch.load_file(second.path),
    )


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


def test_what_is_given_back_is_taken_anew(target: Target, tmp_path: Path) -> None:
    load_onto(target, [save(tmp_path, {"a": torch.ones(10)})])
    target.staging.close()
    assert target.staging.pinned == 0
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


INDICES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda each: slice(*each)), max_size=3
)


@given(st.lists(INDICES, min_size=1, max_size=4))
def test_slices_are_read_without_the_rest(indices: Sequence[list[slice]]) -> None:
    from bentofn.runtime.weights.loading import load_files

    given = {f"t{i}": torch.randn(8, 6, 7) for i in range(len(indices) + 2)}
    wanted = {f"t{i}": tuple(index) for i, index in enumerate(indices)}
    with tempfile.TemporaryDirectory() as folder:
        safetensors.torch.save_file(given, Path(folder, "x.safetensors"))
        found = load_files([Path(folder, "x.safetensors")], slices=wanted)
    assert found.keys() == wanted.keys()
    for name, index in wanted.items():
        assert torch.equal(found[name], given[name][index])


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
    fake_cuda.fail()
    assert_same(load_onto(target, [source]), many())


def test_a_file_that_is_cut_off_while_it_is_read(target: Target, tmp_path: Path) -> None:
    source = save(tmp_path, many())
    os.truncate(source.path, 5_000_000)
    with pytest.raises(UserError, match=r"x\.safetensors was changed while it was read"):
        load_onto(target, [source])


def test_a_file_that_is_written_while_it_is_read(target: Target, tmp_path: Path) -> None:
    source = save(tmp_path, many())
    os.utime(source.path, ns=(1, 1))
    with pytest.raises(UserError, match="was changed while it was read"):
        load_onto(target, [source])


def test_a_thousand_loads_leave_nothing(
    library: Library, tmp_path: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_LOG", "")
    before = held(fake_cuda)
    staging = Staging(Context(library, 0), SMALL)
    target = Target(torch.device("cpu"), staging)
    safetensors.torch.save_file({"a": torch.ones(1000)}, tmp_path / "x.safetensors")

    def load() -> None:
        source = FileSource(tmp_path / "x.safetensors")
        load_onto(target, [source])
        source.close()

    load()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for turn in range(1000):
        if turn % 4 == 3:
            fake_cuda.fail("cuMemcpyHtoDAsync_v2=700")
            source = FileSource(tmp_path / "x.safetensors")
            with pytest.raises(UserError):
                load_onto(target, [source])
            source.close()
            fake_cuda.fail()
        else:
            load()
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert held(fake_cuda)[0] <= before[0] + SMALL.threads * SMALL.slots * SMALL.slot
    staging.close()
    after = held(fake_cuda)
    assert (after[0], after[2]) == (before[0], before[2])


def test_what_lies_behind_four_gigabytes(target: Target, tmp_path: Path) -> None:
    hole = 5 << 30
    header = {
        "hole": {"dtype": "F64", "shape": [hole // 8], "data_offsets": [0, hole]},
        "end": {"dtype": "I64", "shape": [2, 2], "data_offsets": [hole, hole + 32]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file = tmp_path / "huge.safetensors"
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.seek(hole, os.SEEK_CUR)
        opened.write(b"".join(each.to_bytes(8, "little") for each in (1, 2, 3, 2**62)))
    wanted = {"end": (slice(None), slice(1, 2)), "hole": (slice(hole // 8 - 3, None),)}
    found = load_onto(target, [FileSource(file)], wanted=wanted)
    assert found["end"].tolist() == [[2], [2**62]]
    assert found["hole"].tolist() == [0.0] * 3
