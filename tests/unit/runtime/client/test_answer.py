"""Streams and files as they arrive."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.client.answer import chunks_of, decode, file_name
from bentofn.runtime.client.endpoint import Endpoint, read_schema
from bentofn.runtime.errors import BentoMLException


def torn(data: bytes, cuts: list[int]) -> list[bytes]:
    """Data in pieces."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def received(schema: dict[str, Any], pieces: list[bytes]) -> list[Any]:
    """What a stream's reader gets."""
    chunks = chunks_of(Endpoint("f", "/f", output=schema))
    values = [value for piece in pieces for value in chunks.feed(piece)]
    return values + chunks.end()


@given(st.text(), st.lists(st.integers(0, 200)))
def test_a_text_is_whole_however_the_network_tears_it(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    assert "".join(received({"type": "string"}, torn(data, cuts))) == data.decode()


@given(
    st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none())),
    st.lists(st.integers(0, 200)),
)
def test_objects_are_whole_however_the_network_tears_them(
    values: list[dict[str, Any]], cuts: list[int]
) -> None:
    data = "".join(map(json.dumps, values)).encode()
    assert received({"type": "object"}, torn(data, cuts)) == values


def test_objects_that_follow_a_new_line_are_given_as_they_come() -> None:
    chunks = chunks_of(Endpoint("f", "/f", output={"type": "object"}))
    pieces = [b'{"a": 1}', b'\n{"a": 2}', b'\n{"a": 3}\n']
    assert [chunks.feed(piece) for piece in pieces] == [[{"a": 1}], [{"a": 2}], [{"a": 3}]]
    assert chunks.end() == []


def test_a_stream_that_ends_inside_a_value() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        received({"type": "object"}, [b'{"a": 1}{"b"'])
    assert received({"type": "string", "format": "binary"}, [b"\xff", b"a"]) == [b"\xff", b"a"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename*=utf-8''%C3%BC.txt", "ü.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\x\\\\y.txt"', "y.txt"),
        ('attachment; filename=".."', ""),
        ("attachment", ""),
        ("", ""),
    ],
)
def test_a_file_keeps_its_name_but_no_folder(disposition: str, name: str) -> None:
    assert file_name(disposition) == name


def test_text_that_is_labelled_json_is_read_by_its_schema() -> None:
    untyped = Endpoint("f", "/f")
    assert decode(untyped, b"plain", "application/json") == "plain"
    assert decode(untyped, b"[1]", "application/json") == [1]
    assert decode(untyped, b"", "application/json") is None


@pytest.mark.parametrize("document", [None, [], {}, {"routes": [{}]}, {"routes": 1}])
def test_what_is_no_schema(document: Any) -> None:
    with pytest.raises(BentoMLException, match="check the URL"):
        read_schema(document)
