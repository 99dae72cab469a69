"""Headers: ours are read by the reference implementation, bad ones are refused in a sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize

from bentofn.packager.modelstore.safetensors_file import (
    DATA_ALIGNMENT,
    encode_header,
    lay_out,
    tensor_digests,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import DTYPE_BITS, SafetensorsHeader, read_header

TEXT = st.text('aZ._"\\\n\0é\u2028\U0001f371', max_size=8)
WHOLE_BYTES = sorted(dtype for dtype, bits in DTYPE_BITS.items() if bits >= 8)
TENSORS = st.dictionaries(
    TEXT,
    st.tuples(st.sampled_from(WHOLE_BYTES), st.lists(st.integers(0, 3), max_size=3).map(tuple)),
    max_size=6,
)
METADATA = st.dictionaries(TEXT, TEXT, max_size=4)


def header_of(data: bytes) -> SafetensorsHeader:
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        return read_header(Path(file.name))


def reference_names(data: bytes) -> set[str]:
    """The tensors that safetensors itself finds; it raises where it refuses the file."""
    found: Any = deserialize(data)  # type: ignore[no-untyped-call]
    return {name for name, _ in found}


def framed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "U8", shape: Any = (2,), offsets: Any = (0, 2)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@given(TENSORS, METADATA)
def test_what_is_written_is_read_by_us_and_by_the_reference(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]
) -> None:
    layout = lay_out(tensors)
    head = encode_header(layout, metadata)
    data = bytes(max((info.stop for info in layout.values()), default=0))
    assert len(head) % DATA_ALIGNMENT == 0
    assert header_of(head + data) == SafetensorsHeader(layout, metadata, len(head))
    assert reference_names(head + data) == set(tensors)
    for info in layout.values():
        assert info.start % (DTYPE_BITS[info.dtype] // 8) == 0


@given(TENSORS, METADATA)
def test_the_bytes_do_not_depend_on_the_order_of_the_input(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]
) -> None:
    backwards = dict(reversed(tensors.items()))
    assert encode_header(lay_out(tensors), metadata) == encode_header(
        lay_out(backwards), dict(reversed(metadata.items()))
    )


FAULTS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*DTYPE_BITS, "X", 3, None]),
        "shape": st.lists(st.integers(-1, 4) | st.just(2**62), max_size=3) | st.none(),
        "data_offsets": st.lists(st.integers(-1, 12), min_size=2, max_size=2) | st.just([1]),
        "more": st.none(),
    },
)


@st.composite
def nearly_whole_files(draw: st.DrawFn) -> bytes:
    """A whole file, or one with a fault in its metadata, in a tensor's entry or in its length."""
    layout = lay_out(draw(TENSORS))
    header: dict[str, Any] = {
        name: entry(info.dtype, info.shape, (info.start, info.stop))
        for name, info in layout.items()
    }
    if header:
        header[draw(st.sampled_from(sorted(header)))] |= draw(FAULTS)
    if draw(st.booleans()):
        values = TEXT | st.sampled_from([1, None, "\ud800"])
        header["__metadata__"] = draw(st.dictionaries(TEXT, values, max_size=1))
    size = max((info.stop for info in layout.values()), default=0)
    return framed(header, bytes(max(0, size + draw(st.sampled_from([0, 0, 0, 0, -1, 1])))))


FILES = (
    st.binary(max_size=64)
    | st.builds(framed, st.binary(max_size=64), st.binary(max_size=16))
    | nearly_whole_files()
)


@given(FILES)
def test_any_bytes_give_a_sentence_or_a_header_that_the_reference_accepts(data: bytes) -> None:
    try:
        header = header_of(data)
    except UserError:
        return
    assert reference_names(data) == set(header.tensors)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xff" * 8, "shorter"),
        (framed({"a": entry()}, b"1"), "take 2 bytes and it has 1"),
        (framed({"a": entry()}, b"123"), "take 2 bytes and it has 3"),
        (framed({"a": entry(), "b": entry(offsets=(1, 3))}, b"123"), "'b' overlaps"),
        (framed({"a": entry(offsets=(1, 3))}, b"123"), "'a' overlaps another or leaves a gap"),
        (framed({"a": entry(shape=(3,))}, b"12"), "'a' has offsets that do not fit"),
        (framed({"a": entry(dtype="F128")}, b"12"), "entry of tensor 'a'"),
        (framed({"a": entry(shape=(True, 2))}, b"12"), "entry of tensor 'a'"),
        (framed({"a": entry(offsets=(-2, 0))}, b"12"), "entry of tensor 'a'"),
        (framed({"a": entry(shape=(2**62, 2**62, 0), offsets=(0, 0))}), "entry of tensor 'a'"),
        (framed(b'{"a":1,"a":2}'), "twice"),
        (framed({"__metadata__": {"a": 1}}), "strings only"),
        (framed(b"[" * 100_000), "JSON"),
        (framed(b'{"a":' * 100_000), "JSON"),
        (framed(b'{"a":' + b"9" * 5000 + b"}"), "JSON"),
    ],
)
def test_a_malformed_file_is_refused_with_its_fault(data: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        header_of(data)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.safetensors: No such file"):
        read_header(tmp_path / "gone.safetensors")


def test_each_tensor_has_the_digest_of_its_own_bytes(tmp_path: Path) -> None:
    layout = lay_out({"wide": ("F32", (1,)), "narrow": ("U8", (2,)), "none": ("U8", (0,))})
    path = tmp_path / "m.safetensors"
    path.write_bytes(encode_header(layout, {}) + b"abcdef")
    assert tensor_digests(path) == {
        "wide": f"blake3:{blake3(b'abcd').hexdigest()}",
        "narrow": f"blake3:{blake3(b'ef').hexdigest()}",
        "none": f"blake3:{blake3(b'').hexdigest()}",
    }
