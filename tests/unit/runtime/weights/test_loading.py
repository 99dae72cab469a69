"""Every tensor is what safetensors itself loads, or there is one clear error."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

import bentofn
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights import host
from bentofn.runtime.weights.header import DTYPE_BITS
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.memory import mapped
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.tensors import TORCH_NAMES, in_memory

BACKENDS = ("mmap", "pread")


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
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist())


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        found = ours[name]
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert found.is_contiguous()
        assert found.numel() == 0 or raw(found) == raw(tensor)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", sorted(TORCH_NAMES))
def test_every_dtype_is_what_safetensors_loads(tmp_path: Path, dtype: str, backend: str) -> None:
    file = write(tmp_path / "x.safetensors", {"a": (dtype, [3, 4]), "b": (dtype, [0, 2])})
    assert_same(load_file(file, backend=backend), safetensors.torch.load_file(file))


def test_the_dtypes_are_those_of_the_format() -> None:
    assert set(DTYPE_BITS) - set(TORCH_NAMES) == {"F6_E2M3", "F6_E3M2"}


@pytest.mark.parametrize("dtype", ["F6_E2M3", "F6_E3M2"])
def test_a_dtype_that_torch_lacks_is_named(tmp_path: Path, dtype: str) -> None:
    file = write(tmp_path / "x.safetensors", {"layer.weight": (dtype, [4, 4])})
    with pytest.raises(UserError, match=rf"'layer.weight' is of {dtype}.*torch"):
        load_file(file)


@pytest.mark.parametrize("shape", [[], [2, 0]])
def test_fours_that_do_not_pair(tmp_path: Path, shape: list[int]) -> None:
    file = write(tmp_path / "x.safetensors", {"a": ("F4", [2, *shape, 1] if shape else [2, 1])})
    with pytest.raises(UserError, match="last dimension"):
        load_file(file)


SHAPES = st.lists(st.integers(0, 5), max_size=3)
TENSORS = st.dictionaries(
    st.text("abc.é", min_size=1, max_size=5),
    st.tuples(st.sampled_from(sorted(set(TORCH_NAMES) - {"F4"})), SHAPES),
    max_size=8,
)


@given(TENSORS, st.integers(0, 9), st.sampled_from(BACKENDS))
def test_any_layout_scalar_empty_or_misaligned(
    tensors: dict[str, tuple[str, list[int]]], skew: int, backend: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder, "x.safetensors"), tensors, skew)
        ours = load_file(file, backend=backend)
        assert_same(ours, safetensors.torch.load_file(file))
    for tensor in ours.values():
        assert tensor.data_ptr() % tensor.dtype.itemsize == 0


def test_what_is_written_to_a_tensor_stays_in_the_process(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(5000)}, file)
    before = file.read_bytes()
    load_file(file)["a"].fill_(1)
    assert file.read_bytes() == before
    assert float(load_file(file)["a"].sum()) == 0


def test_a_tensor_keeps_its_bytes_when_the_file_is_replaced_or_gone(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.arange(5000)}, file)
    tensor = load_file(file)["a"]
    (tmp_path / "new").write_bytes(b"other")
    (tmp_path / "new").rename(file)
    file.unlink()
    assert torch.equal(tensor, torch.arange(5000))


def test_tensors_are_saved_alone(tmp_path: Path) -> None:
    """Each has its own storage: saving one does not save the file."""
    safetensors.torch.save_file({"a": torch.ones(9), "b": torch.ones(99999)}, tmp_path / "x.st")
    torch.save(load_file(tmp_path / "x.st")["a"], tmp_path / "a.pt")
    assert (tmp_path / "a.pt").stat().st_size < 10_000


@pytest.mark.parametrize("backend", BACKENDS)
def test_floating_point_numbers_are_cast(tmp_path: Path, backend: str) -> None:
    given = {"w": torch.randn(7, 3), "ids": torch.arange(9), "h": torch.randn(4).half()}
    safetensors.torch.save_file(given, tmp_path / "x.safetensors")
    found = load_file(tmp_path / "x.safetensors", backend=backend, dtype=torch.bfloat16)
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "w": torch.bfloat16, "ids": torch.int64, "h": torch.bfloat16,
    }  # fmt: skip
    assert torch.equal(found["w"], given["w"].bfloat16())


def test_a_file_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    """A hole of 5 GiB takes no room on the disk, and where it is only mapped none in memory."""
    first, hole = 64, 5 << 30
    header = {
        "a": {"dtype": "U8", "shape": [first], "data_offsets": [0, first]},
        "hole": {"dtype": "F64", "shape": [hole // 8], "data_offsets": [first, first + hole]},
        "z": {"dtype": "I64", "shape": [2], "data_offsets": [first + hole, first + hole + 16]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file = tmp_path / "huge.safetensors"
    with file.open("wb") as target:
        target.write(len(text).to_bytes(8, "little") + text + bytes(range(first)))
        target.seek(hole, os.SEEK_CUR)
        target.write((7).to_bytes(8, "little") + (2**62).to_bytes(8, "little"))

    source = FileSource(file)
    memory = mapped(source.descriptor, source.size)
    found = in_memory(source.header.tensors, memory, source.header.data_start)
    source.close()
    assert found["z"].tolist() == [7, 2**62]
    assert found["a"].tolist() == list(range(first))
    assert found["hole"].numel() == hole // 8


def test_thousands_of_tiny_tensors(tmp_path: Path) -> None:
    given = {f"t.{i}": torch.full((i % 4,), float(i)) for i in range(5000)}
    safetensors.torch.save_file(given, tmp_path / "x.safetensors")
    found = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\x08\0\0\0\0\0\0\0{", "shorter"),
        (b"\x02\0\0\0\0\0\0\0[]", "not a JSON object"),
        (b"\x02\0\0\0\0\0\0\0{}x", "take 0 bytes and it has 1"),
    ],
)
def test_what_is_no_file_of_tensors(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.safetensors is not a whole.*{reason}"):
        load_file(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS left"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b'{"metadata": {}, "weight_map": {}}', "an index of shards, give load_files the files"),
        (b"GGUF\x03\0\0\0\x01\0\0\0", "a GGUF model"),
    ],
)
def test_files_that_are_taken_for_it(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=f"x is not a safetensors file but .*{kind}"):
        load_file(tmp_path / "x")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_of_torch(tmp_path: Path, is_zip: bool) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "x.bin", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(UserError, match=r"x\.bin is not .*`bentofn models import` makes"):
        load_file(tmp_path / "x.bin")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read .*: Is a directory"):
        load_file(tmp_path)


@pytest.mark.parametrize("url", ["gs://bucket/x.safetensors", "file:///x.safetensors"])
def test_an_unknown_scheme(url: str) -> None:
    with pytest.raises(UserError, match=f"s3://, not from {url.partition(':')[0]}://"):
        load_file(url)


def test_one_file_for_several(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="for one there is load_file"):
        load_files(str(tmp_path / "x"))


@pytest.mark.parametrize("dtype", ["bfloat16", torch.int8])
def test_a_type_that_weights_cannot_have(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(UserError, match=f"such as torch.bfloat16, not {dtype!r}"):
        load_file(tmp_path / "x", dtype=dtype)


@pytest.mark.parametrize("index", [slice(0, 8), (3,), None, (..., slice(0, 8))])
def test_slices_that_are_none(tmp_path: Path, index: Any) -> None:
    safetensors.torch.save_file({"a": torch.ones(9)}, tmp_path / "x")
    with pytest.raises(UserError, match="of the tensor 'a' is a tuple of slices"):
        load_files([tmp_path / "x"], slices={"a": index})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot load onto cuda:1: torch .* finds no GPU"):
        load_file(tmp_path / "x", "cuda:1")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read .*x\.safetensors: No such file"):
        load_file(tmp_path / "x.safetensors")


def test_an_unknown_backend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mmap or pread, not 'gds'"):
        load_file(tmp_path / "x.safetensors", backend="gds")


def saved(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    given = {"a": torch.randn(1 << 20), "b": torch.arange(1 << 20)}
    safetensors.torch.save_file(given, folder / "x.safetensors")
    return folder / "x.safetensors", given


def test_reads_that_are_short_or_interrupted_are_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, given = saved(tmp_path)
    read, calls = os.preadv, iter(range(10**6))

    def short(descriptor: int, buffers: list[memoryview], offset: int, *more: int) -> int:
        if next(calls) % 3 == 0:
            return read(descriptor, [buffers[0][:1000]], offset, *more)
        return read(descriptor, [buffers[0][: 1 << 16]], offset, *more)

    monkeypatch.setattr(os, "preadv", short)
    assert_same(load_file(file, backend="pread"), given)


@pytest.mark.parametrize("how", ["shorter", "longer", "rewritten"])
@pytest.mark.parametrize(
    ("backend", "before"), [("mmap", "mapped"), ("mmap", "populate"), ("pread", "private")]
)
def test_a_file_that_is_changed_in_place_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, before: str, how: str
) -> None:
    file, _ = saved(tmp_path)

    def change() -> None:
        with file.open("r+b") as target:
            if how == "shorter":
                target.truncate(1 << 20)
            else:
                target.seek(
                    0 if how == "longer" else 100_000, os.SEEK_END if how == "longer" else 0
                )
                target.write(b"other")
        os.utime(file, ns=(1, 1))

    step = getattr(host, before)

    def changed_then(*arguments: Any) -> Any:
        change()
        return step(*arguments)

    monkeypatch.setattr(host, before, changed_then)
    with pytest.raises(UserError, match=r"x\.safetensors was changed while it was read"):
        load_file(file, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thousand_loads_leave_nothing(tmp_path: Path, backend: str) -> None:
    safetensors.torch.save_file({"a": torch.randn(1000)}, tmp_path / "x.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}x")

    def held() -> tuple[int, int, int]:
        maps = Path("/proc/self/maps").read_text().count("\n")
        return len(list(Path("/proc/self/fd").iterdir())), maps, threading.active_count()

    def round_of(times: int) -> None:
        for _ in range(times):
            load_file(tmp_path / "x.safetensors", backend=backend)
            with pytest.raises(UserError):
                load_file(tmp_path / "bad.safetensors", backend=backend)

    round_of(10)
    before = held()
    round_of(1000)
    after = held()
    assert after[0] == before[0]
    assert after[1] <= before[1] + 20  # the interpreter's own heap grows
    assert after[2] == before[2]


def test_the_package_offers_it() -> None:
    from bentofn import weights

    assert bentofn.weights is weights
    assert weights.load_file is load_file
