"""What a pickle would import is found, however it is wrapped, and it is never loaded."""

import bz2
import collections
import contextlib
import datetime
import decimal
import functools
import gzip
import importlib
import io
import lzma
import os
import pickle
import random
import struct
import subprocess
import types
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.trust.pickle_files import find_pickles
from bentofn.packager.trust.pickles import UNKNOWN, PickleReport, is_dangerous, read_pickles

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Call:
    """Pickles to a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def read(data: bytes) -> PickleReport:
    return read_pickles(io.BytesIO(data))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "function",
    [os.system, eval, exec, __import__, getattr, open, subprocess.run, importlib.import_module,
     functools.partial, pickle.loads, os.remove],
)  # fmt: skip
def test_what_can_do_harm_is_found(protocol: int, function: Any) -> None:
    report = read(pickle.dumps(Call(function, "x"), protocol))
    assert len(report.dangerous) == 1
    assert report.dangerous[0].endswith(f".{function.__qualname__}")
    assert not report.broken


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_are_left_alone(protocol: int) -> None:
    values = [
        {1: "a", "b": [1.5, None, True, b"bytes", (1, 2), {3}, frozenset({4}), 1 << 99]},
        collections.OrderedDict(a=1), collections.Counter("aab"), collections.defaultdict(list),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), decimal.Decimal("1.5"),
        uuid.UUID(int=1), Path("a/b"), random.Random(1), complex(1, 2), bytearray(b"x"),
        types.SimpleNamespace(a=1),
    ]  # fmt: skip
    for value in values:
        assert read(pickle.dumps(value, protocol)) == PickleReport()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_packages_are_named(protocol: int) -> None:
    report = read(pickle.dumps(np.arange(3.0), protocol))
    assert report.dangerous == ()
    assert report.other
    assert all(name.startswith("numpy.") for name in report.other)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"cos\nsystem\n(S'id'\ntR.", "os.system"),
        (b"(S'id'\nios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x04X\x02\0\0\0os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x04\x8d\x02\0\0\0\0\0\0\0os\x8c\x06system\x93.", "os.system"),
        # The names come from the memo, in another order.
        (b"\x80\x04\x8c\x06system\x940\x8c\x02osh\x00\x93.", "os.system"),
        (b"\x80\x04\x8c\x02osq\x05\x8c\x06systemq\x0500h\x05h\x05\x93.", "system.system"),
        # A name that stands twice, by DUP; a name from a call; the registry of extensions.
        (b"\x80\x04\x8c\x02os2\x93.", "os.os"),
        (b"\x80\x04\x8c\x02os(cbuiltins\nstr\no\x93.", UNKNOWN),
        (b"\x80\x02\x82\x01.", UNKNOWN),
        # Through the attributes of a package that may be there for good reasons.
        (b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93.", "torch.os.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x02os\x93.", "numpy.os"),
    ],
)
def test_tricks_are_seen_through(data: bytes, found: str) -> None:
    assert found in read(data).dangerous or found == "system.system"
    if found == "system.system":
        assert read(data).other == (found,)


def test_a_later_pickle_of_the_same_file_is_read() -> None:
    data = pickle.dumps(1) + pickle.dumps([2]) + pickle.dumps(Call(os.system, "id"))
    assert read(data).dangerous == ("posix.system",)
    assert read(pickle.dumps(1) + b"storage bytes").broken is False
    cut = pickle.dumps(1) + pickle.dumps(Call(os.system, "id"))[:-3]
    assert read(cut).dangerous == ("posix.system",)


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


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    read(data)
    read(b"\x80\x04" + data)


OPCODES = st.sampled_from(
    [b"(", b".", b"0", b"1", b"2", b"N", b"]", b"}", b"(", b"t", b"l", b"d", b"a", b"e", b"s",
     b"u", b"R", b"b", b"\x81", b"\x92", b"\x93", b"\x94", b"h\x00", b"q\x00", b"o", b"\x8c\x02os",
     b"\x8c\x06system", b"cos\nsystem\n", b"ios\nsystem\n", b"K\x01", b"\x82\x01", b"P1\n", b"Q"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(OPCODES, max_size=40))
def test_what_the_unpickler_would_import_is_in_the_report(opcodes: list[bytes]) -> None:
    data = b"\x80\x04" + b"".join(opcodes) + b"."
    asked: list[tuple[str, str]] = []

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            asked.append((module, name))
            return lambda *arguments: None

    with contextlib.suppress(Exception):  # whatever a broken pickle does
        Unpickler(io.BytesIO(data)).load()
    report = read(data)
    if any(is_dangerous(*each) for each in asked):
        assert report.dangerous
    if UNKNOWN not in report.dangerous and not report.broken:
        assert {".".join(each) for each in asked} <= {*report.dangerous, *report.other}


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
        ("a.pkl", gzip.compress(EVIL)),
        ("a.pkl.gz", gzip.compress(EVIL)),
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
        ("a.joblib", gzip.compress(EVIL)[:-12]),
        ("a.pt", b"PK\x03\x04 cut"),
        ("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 30) + b"{'descr':'|O'}".ljust(30)),
    ],
)
def test_half_a_pickle_is_said_to_be_broken(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    report = find_pickles(tmp_path / name, name)
    assert report is not None
    assert report.broken


@settings(deadline=None)
@given(data=st.binary(), name=st.sampled_from(["a.pkl", "a.pt", "a.npy", "a.npz", "a.gz", "a"]))
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("any") / name
    for start in (b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x1f\x8b", b"\x80\x04"):
        path.write_bytes(start + data)
        find_pickles(path, name)
