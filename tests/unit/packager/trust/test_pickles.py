"""What a pickle would import is found, however it is wrapped, and it is never loaded."""

import collections
import contextlib
import datetime
import decimal
import functools
import gzip
import importlib
import io
import os
import pickle
import random
import struct
import subprocess
import types
import uuid
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.trust.pickles import PickleReport, read_pickles

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
        report = read(pickle.dumps(value, protocol))
        assert (report.dangerous, report.other, report.broken) == ((), (), False)


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
        # A name that stands twice, by DUP.
        (b"\x80\x04\x8c\x02os2\x93.", "os.os"),
        # Through the attributes of a package that may be there for good reasons.
        (b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93.", "torch.os.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x02os\x93.", "numpy.os"),
    ],
)
def test_tricks_are_seen_through(data: bytes, found: str) -> None:
    assert found in read(data).dangerous or found == "system.system"
    if found == "system.system":
        assert read(data).other == (found,)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8c\x02os(cbuiltins\nstr\no\x93.",  # a name that a call gives
        b"\x80\x02\x82\x01.",  # a name from the registry of extensions
        b"\x80\x02K\x01K\x05b.",
    ],
)
def test_what_cannot_be_known_is_broken(data: bytes) -> None:
    assert read(data).broken
    hidden = b"\x80\x04cnumpy\ndtype\n)RK\x01K\x05bcos\nsystem\n."
    assert read(pickle.dumps(1) + hidden).broken


def test_what_is_nested_without_end_is_read() -> None:
    deep = b"\x80\x02})" + b"\x85" * 300_000
    assert read(deep + b"K\x01s.") == PickleReport()
    assert read(b"\x80\x04\x8f()" + b"\x85" * 300_000 + b"\x90.") == PickleReport()


def test_a_bomb_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentofn.packager.trust.pickle_machine.MAX_KEPT", 1 << 20)
    text = b"X" + struct.pack("<I", 1 << 16) + b"a" * (1 << 16)
    assert read(gzip.compress(b"\x80\x02" + text * 17 + b".")).broken
    assert read(pickle.dumps(1) + b"\x80\x02" + text * 17 + b".").broken
    monkeypatch.setattr("bentofn.packager.trust.pickle_machine.MAX_READS", 1000)
    assert read(zlib.compress(b"\x80\x02" + b"]" * 1001 + b".")).broken


def test_a_later_pickle_of_the_same_file_is_read() -> None:
    data = pickle.dumps(1) + pickle.dumps([2]) + pickle.dumps(Call(os.system, "id"))
    assert read(data).dangerous == ("posix.system",)
    assert read(pickle.dumps(1) + b"storage bytes").broken is False
    cut = pickle.dumps(1) + pickle.dumps(Call(os.system, "id"))[:-3]
    assert read(cut).dangerous == ("posix.system",)


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    read(data)
    read(b"\x80\x04" + data)


OPCODES = st.sampled_from(
    [b"(", b".", b"0", b"1", b"2", b"N", b"]", b"}", b"(", b"t", b"l", b"d", b"a", b"e", b"s",
     b"u", b"R", b"b", b"\x81", b"\x92", b"\x93", b"\x94", b"h\x00", b"q\x00", b"o", b"\x8c\x02os",
     b"\x8c\x06system", b"cos\nsystem\n", b"ios\nsystem\n", b"K\x01", b"\x82\x01", b"P1\n", b"Q"]
)  # fmt: skip


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
    assert report.broken or {".".join(each) for each in asked} <= {*report.names}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_would_be_called_is_named_and_not_called(protocol: int, tmp_path: Path) -> None:
    trap = Call(Path.touch, tmp_path / "touched")
    found = read(pickle.dumps([{"deep": (trap,)}], protocol))
    assert not found.broken
    assert any(name.endswith(".touch") or name == "builtins.getattr" for name in found.names)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_commands_are_hostile_however_they_are_written(protocol: int) -> None:
    for function in (os.system, eval, exec, subprocess.Popen):
        assert read(pickle.dumps(Call(function, "true"), protocol)).hostile
    assert not read(pickle.dumps(collections.OrderedDict(a=1), protocol)).hostile


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
), st.sampled_from(PROTOCOLS))  # fmt: skip
def test_plain_data_imports_nothing(value: Any, protocol: int) -> None:
    found = read(pickle.dumps(value, protocol))
    assert not found.broken
    assert set(found.names) <= {"_codecs.encode", "builtins.bytes", "__builtin__.bytes"}


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_joblib_files_are_read_through_their_arrays(compress: Any, tmp_path: Path) -> None:
    objects: Any = np.array([Call(eval, "1"), 1], dtype=object)
    content = {
        "floats": np.arange(1000.0).reshape(10, 100),
        "text": np.array(["a", "bcd"]),
        "records": np.zeros(3, dtype=[("n", "<i4"), ("s", "S5")]),
        "scalar": np.array(1, dtype=np.int8),
        "objects": objects,
        "last": Call(collections.OrderedDict),
    }
    joblib.dump(content, tmp_path / "x", compress=compress)
    found = read((tmp_path / "x").read_bytes())
    assert not found.broken
    assert "collections.OrderedDict" in found.names
    assert found.hostile == ("builtins.eval",)


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
def test_half_a_pickle_is_said_to_be_half(squeeze: Any) -> None:
    data = pickle.dumps({"a": collections.OrderedDict(b=1)})
    assert read(data[:-1]).broken
    assert read(squeeze(data)[:-9]).broken
    assert read(squeeze(data)) == PickleReport(plain=("collections.OrderedDict",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_large_arrays_are_read_over_and_what_follows_is_found(protocol: int) -> None:
    large = np.zeros(5_000_000)
    data = pickle.dumps([large, "x" * 20_000_000, Call(eval, "1")], protocol)
    found = read(data)
    assert not found.broken
    assert found.hostile == ("builtins.eval",)


def test_a_length_that_no_file_has_reads_nothing() -> None:
    for opcode in (b"\x8e", b"\x8d", b"\x96", b"\x95"):
        assert read(b"\x80\x05" + opcode + b"\xff" * 7 + b"\x7f" + b"abc").broken
