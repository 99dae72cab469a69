"""ONNX models, whose tensors may stand in files beside them.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bentofn.packager.modelstore.formats.base import Checked, not_whole
from bentofn.packager.modelstore.formats.protobuf import (
    Malformed,
    fields,
    open_message,
    submessages,
)
from bentofn.packager.modelstore.policy import Policy
from bentofn.runtime.errors import UserError

_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSETS, _MODEL_FUNCTIONS = 1, 7, 8, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_FUNCTION_NODE, _NODE_ATTRIBUTE = 7, 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_PARTS = (1, 2)
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_DEEPEST = 64
"""Graphs inside of graphs at most; a loop in a loop is two."""


class ONNX:
    """A ``.onnx`` file."""

    name = "onnx"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        return source.suffix.lower() == ".onnx"

    def check(self, source: Path, policy: Policy) -> Checked:
        try:
            found = [_place(entry) for entry in _external_entries(open_message(source))]
        except Malformed as error:
            raise not_whole(source, "ONNX model", str(error)) from error
        for location, end in found:
            _check_data(source, location, end)
        return Checked(tuple(sorted({location for location, _ in found})))


def _external_entries(model: memoryview) -> Iterator[bytes]:
    numbers = {number for number, _ in fields(model)}
    for number, what in (
        (_MODEL_IR_VERSION, "IR version"),
        (_MODEL_GRAPH, "graph"),
        (_MODEL_OPSETS, "opset"),
    ):
        if number not in numbers:
            raise Malformed(f"it has no {what}")
    for graph in submessages(model, _MODEL_GRAPH):
        yield from _of_graph(graph, 0)
    for function in submessages(model, _MODEL_FUNCTIONS):
        for node in submessages(function, _FUNCTION_NODE):
            yield from _of_node(node, 0)


def _of_graph(graph: memoryview, depth: int) -> Iterator[bytes]:
    if depth > _DEEPEST:
        raise Malformed(f"its graphs stand in each other more than {_DEEPEST} deep")
    for tensor in submessages(graph, _GRAPH_INITIALIZER):
        yield from _of_tensor(tensor)
    for sparse in submessages(graph, _GRAPH_SPARSE):
        yield from _of_sparse(sparse)
    for node in submessages(graph, _GRAPH_NODE):
        yield from _of_node(node, depth)


def _of_node(node: memoryview, depth: int) -> Iterator[bytes]:
    for attribute in submessages(node, _NODE_ATTRIBUTE):
        for tensor in submessages(attribute, *_ATTRIBUTE_TENSORS):
            yield from _of_tensor(tensor)
        for sparse in submessages(attribute, *_ATTRIBUTE_SPARSE):
            yield from _of_sparse(sparse)
        for graph in submessages(attribute, *_ATTRIBUTE_GRAPHS):
            yield from _of_graph(graph, depth + 1)


def _of_sparse(sparse: memoryview) -> Iterator[bytes]:
    for tensor in submessages(sparse, *_SPARSE_PARTS):
        yield from _of_tensor(tensor)


def _of_tensor(tensor: memoryview) -> Iterator[bytes]:
    """The entries that say where a tensor's data is, as the bytes of the message they stand in."""
    entries = [value for number, value in fields(tensor) if number == _TENSOR_EXTERNAL]
    if entries:
        said = {}
        for entry in entries:
            if isinstance(entry, int):
                raise Malformed("the place of a tensor is a number")
            pair = dict(fields(entry))
            key, value = pair.get(_ENTRY_KEY, b""), pair.get(_ENTRY_VALUE, b"")
            if isinstance(key, int) or isinstance(value, int):
                raise Malformed("the place of a tensor is a number")
            said[bytes(key)] = bytes(value)
        start, length = said.get(b"offset", b"0"), said.get(b"length", b"0")
        yield b"\0".join((start, length, said.get(b"location", b"")))


def _place(entry: bytes) -> tuple[str, int]:
    start, length, location = entry.split(b"\0", 2)
    try:
        return location.decode(), int(start) + int(length)
    except ValueError:
        raise Malformed("the place of a tensor is not UTF-8, or its offset no number") from None


def _check_data(source: Path, location: str, end: int) -> None:
    path = PurePosixPath(location)
    if not location or path.is_absolute() or ".." in path.parts or "\\" in location:
        raise UserError(
            f"{source} has a tensor in {location!r}, which is outside of its folder; save the "
            "model again with its data beside it."
        )
    data = source.parent / path
    if not data.is_file():
        raise UserError(
            f"{source} has tensors in {location}, which is not beside it; copy that file too."
        )
    if data.stat().st_size < end:
        raise UserError(
            f"{data} is shorter than {source.name} says ({end} bytes); download or save both again."
        )
