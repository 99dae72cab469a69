"""Pickles are found in files, however they are wrapped."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.trust.pickle_files import find_pickles


class Call:
    """Pickles to a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("xz", 3)])
def test_what_joblib_writes_is_read_past_its_arrays(tmp_path: Path, compress: Any) -> None:
    joblib = pytest.importorskip("joblib")
    path = tmp_path / "a.joblib"
    # Of a column's name that is also a module's nothing follows.
    joblib.dump([np.arange(99.0), "time", {"os": np.ones((2, 3))}], path, compress=compress)
    harmless = find_pickles(path, path.name)
    assert harmless is not None
    assert (harmless.dangerous, harmless.broken) == ((), False)
    joblib.dump([np.arange(99.0), Call(os.system, "id")], path, compress=compress)
    evil = find_pickles(path, path.name)
    assert evil is not None
    assert evil.dangerous == ("posix.system",)
    path.write_bytes(path.read_bytes()[:-9])
    cut = find_pickles(path, path.name)
    assert cut is not None
    assert cut.broken


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, data in members.items():
            zipped.writestr(name.replace("__", "/").replace("_", "."), data)
    return out.getvalue()


EVIL = pickle.dumps(Call(os.system, "id"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pkl", EVIL),
        ("a.pkl", pickle.dumps(Call(os.system, "id"), 0)),
        ("a.joblib", zlib.compress(EVIL)),
        ("a.pkl", gzip.compress(EVIL, mtime=0)),
        ("a.pkl.gz", gzip.compress(EVIL, mtime=0)),
        ("a.pkl.bz2", bz2.compress(EVIL)),
        ("a.pkl.xz", lzma.compress(EVIL)),
        ("a.whatever", EVIL),
        ("a.npy", npy(np.array([Call(os.system, "id")], dtype=object))),
        ("a.npz", archive(a_npy=npy(np.array([Call(os.system, "id")], dtype=object)))),
        ("a.pt", archive(model__data_pkl=EVIL, model__data__0=b"\0" * 99)),
        ("a.zip", archive(inner_pt=archive(model__data_pkl=EVIL))),
        ("a.pt", pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + EVIL),
    ],
)
def test_it_is_found_in_every_wrapping(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    report = find_pickles(tmp_path / name, name)
    assert report is not None
    assert report.dangerous == ("posix.system",)


def torch_file(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        torch = pytest.importorskip("torch")
        torch.save({"a": torch.ones(3), "b": torch.nn.Parameter(torch.ones(2))}, path, **options)

    return write


@pytest.mark.parametrize("write", [torch_file(), torch_file(_use_new_zipfile_serialization=False)])
def test_a_checkpoint_of_tensors_is_harmless(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "a.pt")
    report = find_pickles(tmp_path / "a.pt", "a.pt")
    assert report is not None
    assert (report.dangerous, report.broken) == ((), False)
    assert all(name.startswith("torch.") for name in report.other)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.py", b"import os"),
        ("a.bin", b"\x00\x01"),
        ("a.npy", npy(np.ones(3))),
        ("a.npz", archive(a_npy=npy(np.ones(3)))),
        ("a.zip", archive(a_txt=b"text")),
        ("a.model", b"\x0a\x0e\x0a\x05<unk>"),
        ("a.csv", b""),
        ("a.png", b"\x89PNG\r\n"),
        ("a.dat", b"\x80\x04\x00\x00 no pickle"),
        ("a.zip", b"PK\x03\x04 cut"),
    ],
)
def test_other_files_are_no_pickles(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert find_pickles(tmp_path / name, name) is None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pkl", b""),
        ("a.pkl", b"\x80\x04\x95"),
        ("a.joblib", gzip.compress(EVIL, mtime=0)[:-12]),
        ("a.pt", b"PK\x03\x04 cut"),
        ("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 30) + b"{'descr':'|O'}".ljust(30)),
    ],
)
def test_half_a_pickle_is_said_to_be_broken(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    report = find_pickles(tmp_path / name, name)
    assert report is not None
    assert report.broken


@given(data=st.binary(), name=st.sampled_from(["a.pkl", "a.pt", "a.npy", "a.npz", "a.gz", "a"]))
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("any") / name
    for start in (b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x1f\x8b", b"\x80\x04"):
        path.write_bytes(start + data)
        find_pickles(path, name)
