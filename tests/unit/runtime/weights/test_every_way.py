"""Whatever the file and whatever befalls it: the right tensors, or one clear error, on every way.

The ways are the file's own pages, memory of the process, and a GPU, for which the stand-in for the
driver copies as late as it may.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights import host
from bentofn.runtime.weights.header import DTYPE_BITS
from bentofn.runtime.weights.loading import load_files
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.plan import chunks, whole
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Job, Staging, Tuning
from bentofn.runtime.weights.tensors import TORCH_NAMES, in_buffer

if TYPE_CHECKING:
    from fakecuda import FakeCuda

SMALL = Tuning(threads=3, slots=2, slot=2 << 20)
WAYS = ("mapped", "read", "gpu")
Tensors = dict[str, torch.Tensor]


class Load(Protocol):
    """A way; takes what ``load_files`` takes."""

    def __call__(self, *files: Path, **options: Any) -> Tensors: ...


@pytest.fixture
def target(fake_cuda: FakeCuda) -> Iterator[Target]:
    library = Library.find()
    assert library is not None
    staging = Staging(Context(library, 0), SMALL)
    yield Target(torch.device("cpu"), staging)
    staging.close()


@pytest.fixture(params=WAYS)
def load(request: pytest.FixtureRequest) -> Load:
    if request.param == "gpu":
        target: Target = request.getfixturevalue("target")

        def onto(*files: Path, dtype: torch.dtype | None = None, slices: Any = None) -> Tensors:
            sources = [FileSource(file) for file in files]
            try:
                return load_onto(target, sources, dtype=dtype, wanted=slices)
            finally:
                for source in sources:
                    source.close()

        return onto
    backend = "mmap" if request.param == "mapped" else "pread"
    return lambda *files, **options: load_files(files, backend=backend, **options)


def write(path: Path, tensors: dict[str, tuple[str, list[int]]], skew: int = 0) -> Path:
    """A file of tensors with arbitrary bytes; ``skew`` more spaces after its header."""
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = DTYPE_BITS[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size // 8]}
        end += size // 8
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + skew)
    data = bytes(each % 2 if "BOOL" in str(tensors) else each * 37 % 251 for each in range(end))
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def raw(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy())


def assert_same(ours: Tensors, theirs: Tensors) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        found = ours[name]
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert found.is_contiguous()
        assert found.numel() == 0 or raw(found) == raw(tensor)
        assert found.data_ptr() % found.dtype.itemsize == 0


def saved(folder: Path, name: str = "x.safetensors") -> tuple[Path, Tensors]:
    """Of several pieces of the ring."""
    given = {"a": torch.randn(1 << 20), "b": torch.arange(1 << 20)}
    safetensors.torch.save_file(given, folder / name)
    return folder / name, given


@pytest.mark.parametrize("dtype", sorted(TORCH_NAMES))
def test_every_dtype_is_what_safetensors_loads(load: Load, tmp_path: Path, dtype: str) -> None:
    shapes = {"a": [3, 4], "b": [0, 2], "c": [] if dtype != "F4" else [2]}
    file = write(tmp_path / "x", {name: (dtype, shape) for name, shape in shapes.items()})
    assert_same(load(file), safetensors.torch.load_file(file))


def test_the_dtypes_are_those_of_the_format() -> None:
    assert set(DTYPE_BITS) - set(TORCH_NAMES) == {"F6_E2M3", "F6_E3M2"}


@pytest.mark.parametrize("dtype", ["F6_E2M3", "F6_E3M2"])
def test_a_dtype_that_torch_lacks_is_named(load: Load, tmp_path: Path, dtype: str) -> None:
    file = write(tmp_path / "x", {"layer.weight": (dtype, [4, 4])})
    with pytest.raises(UserError, match=rf"'layer.weight' is of {dtype}.*torch"):
        load(file)


@pytest.mark.parametrize("shape", [[2, 1], [2, 0, 1]])
def test_fours_that_do_not_pair(load: Load, tmp_path: Path, shape: list[int]) -> None:
    file = write(tmp_path / "x", {"a": ("F4", shape)})
    with pytest.raises(UserError, match="last dimension"):
        load(file)


SHAPES = st.lists(st.integers(0, 5), max_size=3)
TENSORS = st.dictionaries(
    st.text("abc.é", min_size=1, max_size=5),
    st.tuples(st.sampled_from(sorted(set(TORCH_NAMES) - {"F4"})), SHAPES),
    max_size=8,
)


# A way that has loaded one file is as good for the next.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tensors=TENSORS, skew=st.integers(0, 9))
def test_any_layout_scalar_empty_or_misaligned(
    load: Load, tensors: dict[str, tuple[str, list[int]]], skew: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder, "x.safetensors"), tensors, skew)
        assert_same(load(file), safetensors.torch.load_file(file))


INDICES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda each: slice(*each)), max_size=3
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(INDICES, min_size=1, max_size=4))
def test_slices_are_read_without_the_rest(load: Load, indices: list[list[slice]]) -> None:
    given = {f"t{i}": torch.randn(8, 6, 7) for i in range(len(indices) + 2)}
    wanted = {f"t{i}": tuple(index) for i, index in enumerate(indices)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.safetensors")
        safetensors.torch.save_file(given, file)
        found = load(file, slices=wanted)
    assert_same(found, {name: given[name][index] for name, index in wanted.items()})


def test_floating_point_numbers_are_cast(load: Load, tmp_path: Path) -> None:
    given = {"w": torch.randn(7, 3), "ids": torch.arange(9), "h": torch.randn(4).half()}
    safetensors.torch.save_file(given, tmp_path / "x.safetensors")
    found = load(tmp_path / "x.safetensors", dtype=torch.bfloat16)
    assert_same(found, {n: t.bfloat16() if t.is_floating_point() else t for n, t in given.items()})


@pytest.mark.parametrize("dtype", sorted(each for each in TORCH_NAMES if each.startswith("F")))
def test_every_floating_point_type_is_cast_or_left(load: Load, tmp_path: Path, dtype: str) -> None:
    file = write(tmp_path / "x.safetensors", {"a": (dtype, [2, 4])})
    packed = {"F4": torch.float4_e2m1fn_x2}
    assert load(file, dtype=torch.bfloat16)["a"].dtype == packed.get(dtype, torch.bfloat16)


def test_thousands_of_tiny_tensors(load: Load, tmp_path: Path) -> None:
    given = {f"t.{i}": torch.full((i % 4,), float(i)) for i in range(5000)}
    safetensors.torch.save_file(given, tmp_path / "x.safetensors")
    assert_same(load(tmp_path / "x.safetensors"), given)


def test_shards_at_once(load: Load, tmp_path: Path) -> None:
    files, wanted = [], {}
    for number in range(3):
        given = {f"{number}.{i}": torch.randn(1 << 18) for i in range(3)}
        safetensors.torch.save_file(given, tmp_path / f"{number}.safetensors")
        files.append(tmp_path / f"{number}.safetensors")
        wanted |= given
    assert_same(load(*files), wanted)


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A hole of 5 GiB, which takes no room on the disk, and what lies behind it."""
    hole = 5 << 30
    header = {
        "hole": {"dtype": "F64", "shape": [hole // 8], "data_offsets": [0, hole]},
        "z": {"dtype": "I64", "shape": [2, 2], "data_offsets": [hole, hole + 32]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (tmp_path / "huge.safetensors").open("wb") as target:
        target.write(len(text).to_bytes(8, "little") + text)
        target.seek(hole, os.SEEK_CUR)
        target.write(b"".join(each.to_bytes(8, "little") for each in (7, 1, 3, 2**62)))
    return tmp_path / "huge.safetensors"


def test_slices_behind_four_gigabytes(load: Load, huge: Path) -> None:
    wanted = {"z": (slice(None), slice(1, 2)), "hole": (slice((5 << 27) - 3, None),)}
    found = load(huge, slices=wanted)
    assert found["z"].tolist() == [[1], [2**62]]
    assert found["hole"].tolist() == [0.0] * 3


def test_tensors_behind_four_gigabytes_on_a_gpu(target: Target, huge: Path) -> None:
    """Of the allocation only the last pieces are filled, so that it takes no memory."""
    source = FileSource(huge)
    plan = whole(source.header)
    buffer = torch.empty(plan.size, dtype=torch.uint8)
    pieces = list(chunks(plan.ranges, SMALL.slot))[-3:]
    target.staging.run(Job(source, piece, buffer.data_ptr()) for piece in pieces)
    source.close()
    found = in_buffer(plan.tensors, buffer)
    assert found["z"].tolist() == [[7, 1], [3, 2**62]]
    assert found["hole"][-(1 << 16) :].count_nonzero() == 0


@pytest.fixture(scope="session")
def faulty_reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload that makes the system's calls interrupted and short."""
    library = tmp_path_factory.mktemp("faulty") / "libfaulty.so"
    source = Path(__file__).parents[3] / "servers" / "faulty_reads.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


LOADER = """
import ctypes, sys, torch
from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.weights.loading import load_file
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Staging, Tuning

_, way, file = sys.argv
if way == "gpu":
    staging = Staging(Context(Library.find(), 0), Tuning(threads=3, slots=2, slot=2 << 20))
    found = load_onto(Target(torch.device("cpu"), staging), [FileSource(file)])
else:
    found = load_file(file, backend="mmap" if way == "mapped" else "pread")
assert ctypes.c_int.in_dll(ctypes.CDLL(None), "faults").value > 1
torch.save({name: tensor.clone() for name, tensor in found.items()}, file + ".loaded")
"""


@pytest.mark.parametrize("way", WAYS)
def test_reads_that_are_short_or_interrupted_are_repeated(
    fake_cuda: FakeCuda, faulty_reads: Path, tmp_path: Path, way: str
) -> None:
    file, given = saved(tmp_path)
    with file.open("rb") as opened:  # what is not cached is read past the page cache, or mapped
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    environment = {**os.environ, "LD_PRELOAD": str(faulty_reads)}
    subprocess.run([sys.executable, "-c", LOADER, way, str(file)], check=True, env=environment)
    assert_same(torch.load(f"{file}.loaded"), given)


@pytest.fixture
def meanwhile(load: Load, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something done while a file is read: before its second piece, or its pages."""

    def arrange(do: Callable[[], None]) -> None:
        read, populate, calls = os.preadv, host.populate, iter(range(10**6))

        def then_read(*arguments: Any) -> int:
            if next(calls) == 1:
                do()
            return read(*arguments)

        def then_populate(*arguments: Any) -> None:
            do()
            populate(*arguments)

        monkeypatch.setattr(os, "preadv", then_read)
        monkeypatch.setattr(host, "populate", then_populate)

    return arrange


@pytest.mark.parametrize("how", ["shorter", "longer", "rewritten"])
def test_a_file_that_is_changed_in_place_while_it_is_read(
    load: Load, meanwhile: Callable[[Callable[[], None]], None], tmp_path: Path, how: str
) -> None:
    file, _ = saved(tmp_path)

    def change() -> None:
        with file.open("r+b") as target:
            if how == "shorter":
                target.truncate(1 << 20)
            else:
                target.seek(0, os.SEEK_END if how == "longer" else os.SEEK_SET)
                target.write(b"other")
        os.utime(file, ns=(1, 1))

    meanwhile(change)
    with pytest.raises(UserError, match=r"x\.safetensors was changed while it was read"):
        load(file)


def test_a_file_that_another_takes_the_place_of_while_it_is_read(
    load: Load, meanwhile: Callable[[Callable[[], None]], None], tmp_path: Path
) -> None:
    file, given = saved(tmp_path)
    other, _ = saved(tmp_path, "other")
    meanwhile(lambda: other.replace(file))
    assert_same(load(file), given)


def test_a_disk_that_fails_is_told_with_the_file(
    load: Load, meanwhile: Callable[[Callable[[], None]], None], tmp_path: Path
) -> None:
    file, _ = saved(tmp_path)

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    meanwhile(fail)
    with pytest.raises(UserError, match=r"Cannot read .*x\.safetensors: Input/output error"):
        load(file)


def held(fake: FakeCuda) -> dict[str, int]:
    """What this process has of the system and of the stand-in."""
    library = ctypes.CDLL(str(fake.path))
    library.fakecudaRegistered.restype = ctypes.c_size_t
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "mappings": Path("/proc/self/maps").read_text().count("\n"),
        "pages": int(Path("/proc/self/statm").read_text().split()[1]),
        "pinned": library.fakecudaRegistered(),
        "streams": library.fakecudaStreams(),
        "events": library.fakecudaEvents(),
        "pending": library.fakecudaPending(),
    }


def test_a_thousand_loads_leave_nothing(
    load: Load, tmp_path: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them fail: for the file, or for the driver where there is one."""
    monkeypatch.setenv("BENTOFN_FAKECUDA_LOG", "")
    safetensors.torch.save_file({"a": torch.ones(100_000)}, tmp_path / "x.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}x")
    rules = ("cuMemcpyHtoDAsync_v2=700", "cuEventRecord=700", "cuStreamSynchronize=700")

    def round_of(times: int) -> dict[str, int]:
        for turn in range(times):
            load(tmp_path / "x.safetensors")
            with pytest.raises(UserError):
                load(tmp_path / "bad.safetensors")
            fake_cuda.fail(rules[turn % 3])
            with suppress(UserError):
                load(tmp_path / "x.safetensors")
            fake_cuda.fail()
        gc.collect()
        return held(fake_cuda)

    before = round_of(20)
    after = round_of(334)
    # The interpreter's own heap grows; what was loaded is 1000 times 400 kB.
    assert after.pop("mappings") <= before.pop("mappings") + 20
    assert (after.pop("pages") - before.pop("pages")) * PAGESIZE < 100 << 20
    assert after == before
    assert after["pending"] == 0
