"""What a pickle would import is found without running it."""

from __future__ import annotations

import collections
import gzip
import io
import pickle
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.modelstore.pickles import PickleContent, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(data: bytes) -> PickleContent:
    return read_pickle(io.BytesIO(data))


class Calls:
    """Its pickle calls something when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_would_be_called_is_named_and_not_called(protocol: int, tmp_path: Path) -> None:
    trap = Calls(Path.touch, tmp_path / "touched")
    found = read(pickle.dumps([{"deep": (trap,)}], protocol))
    assert found.whole
    assert any(name.endswith(".touch") or name == "builtins.getattr" for name in found.names)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_commands_are_hostile_however_they_are_written(protocol: int) -> None:
    import os
    import subprocess

    for function in (os.system, eval, exec, subprocess.Popen):
        assert read(pickle.dumps(Calls(function, "true"), protocol)).hostile
    assert not read(pickle.dumps(collections.OrderedDict(a=1), protocol)).hostile


def test_a_name_that_is_put_together_is_found() -> None:
    # STACK_GLOBAL with names from the memo, behind a POP, which a reader of the text may miss.
    code = (
        b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94\x8c\x05decoy00h\x01h\x00\x93\x8c\x04true\x85R."
    )
    assert read(code).names == ("os.system",)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
), st.sampled_from(PROTOCOLS))  # fmt: skip
def test_plain_data_imports_nothing(value: Any, protocol: int) -> None:
    found = read(pickle.dumps(value, protocol))
    assert found.whole
    assert set(found.names) <= {"_codecs.encode", "builtins.bytes", "__builtin__.bytes"}


@given(st.binary())
def test_any_bytes_are_looked_through(data: bytes) -> None:
    read(data)
    read(b"\x80\x04" + data)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_joblib_files_are_read_through_their_arrays(compress: Any, tmp_path: Path) -> None:
    objects: Any = np.array([Calls(eval, "1"), 1], dtype=object)
    content = {
        "floats": np.arange(1000.0).reshape(10, 100),
        "text": np.array(["a", "bcd"]),
        "records": np.zeros(3, dtype=[("n", "<i4"), ("s", "S5")]),
        "scalar": np.array(1, dtype=np.int8),
        "objects": objects,
        "last": Calls(collections.OrderedDict),
    }
    joblib.dump(content, tmp_path / "x", compress=compress)
    found = read((tmp_path / "x").read_bytes())
    assert found.whole
    assert "collections.OrderedDict" in found.names
    assert found.hostile == ("builtins.eval",)


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
def test_half_a_pickle_is_said_to_be_half(squeeze: Any) -> None:
    data = pickle.dumps({"a": collections.OrderedDict(b=1)})
    assert not read(data[:-1]).whole
    assert not read(squeeze(data)[:-9]).whole
    assert read(squeeze(data)) == PickleContent(("collections.OrderedDict",), True)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_large_arrays_are_read_over_and_what_follows_is_found(protocol: int) -> None:
    large = np.zeros(5_000_000)
    data = pickle.dumps([large, "x" * 20_000_000, Calls(eval, "1")], protocol)
    found = read(data)
    assert found.whole
    assert found.hostile == ("builtins.eval",)


def test_a_length_that_no_file_has_reads_nothing() -> None:
    for opcode in (b"\x8e", b"\x8d", b"\x96", b"\x95"):
        assert not read(b"\x80\x05" + opcode + b"\xff" * 7 + b"\x7f" + b"abc").whole
