"""Every tensor is what safetensors itself loads, or there is one clear error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import bentofn
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.memory import mapped
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.tensors import in_memory

BACKENDS = ("mmap", "pread")


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


def test_the_package_offers_it() -> None:
    from bentofn import weights

    assert bentofn.weights is weights
    assert weights.load_file is load_file
