"""Clients are the same for the same service, and whole whatever that calls its own."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.clients.interface import Described, Operation
from bentofn.packager.clients.openapi import read_document
from bentofn.packager.clients.python import python_client
from bentofn.packager.clients.typescript import typescript_client

HOSTILE = [
    *("constructor", "__proto__", "delete", "class", "a-b", "close", "_http", "submit", "1st", ""),
    *("*/ alert(1) /*", '"""', "'", "\\", "new\nline", "\u2028", "größe", "Promise", "self"),
]
names = st.sampled_from(HOSTILE) | st.text(max_size=8)
scalars: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["string", "integer", "number", "boolean", "null", "file", "dataframe"]).map(
        lambda kind: {"type": kind}
    ),
    st.lists(names | st.integers() | st.none(), max_size=3).map(lambda each: {"enum": each}),
    names.map(lambda value: {"const": value}),
    st.just({"type": "string", "format": "binary"}),
    st.just({"type": "tensor", "format": "numpy-array", "shape": [2, 2], "dtype": "float32"}),
    st.sampled_from([{}, True, {"$ref": "#/$defs/Tree"}, {"$ref": "#/$defs/*/ x"}]),
)


def nested(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        schemas.map(lambda items: {"type": "array", "items": items}),
        schemas.map(lambda values: {"type": "object", "additionalProperties": values}),
        st.lists(schemas, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
        st.lists(schemas, min_size=1, max_size=2).map(lambda each: {"prefixItems": each}),
        objects(schemas),
    )


def objects(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda fields, required, doc: {
            **{"type": "object", "properties": fields, "description": doc},
            "required": [name for name in fields if name in required],
        },
        st.dictionaries(names, schemas, max_size=4),
        st.sets(names),
        names,
    )


DEFINITIONS = {
    "Tree": {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    },
    "*/ x": {"enum": ["*/", '"""']},
}
schemas = st.recursive(scalars, nested, max_leaves=8)
operations = st.builds(
    lambda name, given, answer, flags, doc: Operation(
        name, "/x", doc, {**given, "$defs": DEFINITIONS}, {**answer, "$defs": DEFINITIONS}, *flags
    ),
    names,
    objects(schemas),
    schemas.filter(lambda each: each is not True),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    names,
)
services = st.lists(operations, max_size=3, unique_by=lambda each: each.name).map(tuple)


@settings(max_examples=40)
@given(name=names, found=services)
def test_python_clients_are_python_and_stay_the_same(
    name: str, found: tuple[Operation, ...]
) -> None:
    source = python_client(Described(name, found))
    tree = ast.parse(source)
    classes = [each.name for each in tree.body if isinstance(each, ast.ClassDef)]
    assert len(set(classes)) == len(classes)
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            methods = [each.name for each in each.body if isinstance(each, ast.FunctionDef)]
            assert len(set(methods)) == len(methods)
    assert python_client(Described(name, found[::-1])) == source


@settings(max_examples=40)
@given(name=names, found=services)
def test_texts_of_a_service_end_no_comment_of_typescript(
    name: str, found: tuple[Operation, ...]
) -> None:
    source = typescript_client(Described(name, found))
    own = source.partition("/** What all calls of a client")[0]
    code = re.sub(r'"(?:[^"\\\n]|\\.)*"|/\*.*?\*/', "", own, flags=re.S)
    assert "alert(" not in code
    assert typescript_client(Described(name, found[::-1])) == source


def operation(name: str, given: Any, answer: Any, **flags: bool) -> Operation:
    return Operation(name, f"/{name}", "", given, answer, **flags)


def test_what_is_only_received_has_its_defaults() -> None:
    fields = {"size": {"type": "integer", "default": 1}}
    item = {"type": "object", "properties": fields}
    definitions = {"$defs": {"Item": item}, "$ref": "#/$defs/Item"}
    received = typescript_client(Described("x", (operation("a", {}, definitions),)))
    assert "size: number;" in received
    sent = operation("b", {"properties": {"item": definitions}, **definitions}, {"type": "null"})
    both = typescript_client(Described("x", (operation("a", {}, definitions), sent)))
    assert "size?: number;" in both


def test_two_types_of_one_name_stay_apart() -> None:
    def answer(kind: str) -> Any:
        item = {"type": "object", "properties": {"size": {"type": kind}}, "required": ["size"]}
        return {"$ref": "#/$defs/Item", "$defs": {"Item": item}}

    kinds = (("a", "string"), ("b", "integer"), ("c", "string"))
    found = tuple(operation(name, {}, answer(kind)) for name, kind in kinds)
    source = python_client(Described("x", found))
    assert source.count("class Item(TypedDict)") == source.count("class Item2(TypedDict)") == 1
    assert source.count("-> Item:") == 4


def test_bytes_are_a_blob_also_as_the_result_of_a_task() -> None:
    data = {"type": "string", "format": "binary"}
    found = (operation("a", {}, data), operation("b", {}, data, is_task=True))
    source = typescript_client(Described("x", found))
    assert "a(options: CallOptions = {}): Promise<Blob>" in source
    assert "get b(): TaskMethod<void, Blob>" in source


def test_a_document_of_another_server_is_read() -> None:
    body = {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
    document = {
        "info": {"title": "other"},
        "paths": {
            "/read": {
                "post": {
                    "requestBody": {"content": {"multipart/form-data": {"schema": body}}},
                    "responses": {"200": {"content": {"text/event-stream": {"schema": {}}}}},
                }
            },
            "/livez": {"get": {"responses": {"200": {}}}},
        },
    }
    source = typescript_client(read_document(json.loads(json.dumps(document))))
    assert "image?: Blob;" in source
    assert 'stream("/read", "form", input, "text", options)' in source
    assert "livez" not in source
