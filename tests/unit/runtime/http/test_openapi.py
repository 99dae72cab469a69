from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel

import bentofn
from bentofn.validators import DType, Shape


class Item(BaseModel):
    name: str


def other_item() -> type[BaseModel]:
    class Item(BaseModel):
        size: int

    return Item


Other = other_item()


@bentofn.service(description="About shapes.")
class Documented:
    @bentofn.api(batchable=True, examples=[{"array": [[1]]}])
    def embed(self, array: np.ndarray) -> np.ndarray:
        """Embed.

        At length.
        """
        return array

    @bentofn.api(examples=[{"root": "hello"}])
    def shout(self, text: str, /) -> str:
        return text

    @bentofn.api
    def one(self, item: Item) -> Item:
        return item

    @bentofn.api
    def other(self, item: Other) -> list[Other]:  # type: ignore[valid-type]
        return [item]

    @bentofn.api
    def upload(self, files: list[Path], note: str = "") -> Iterator[str]:
        yield note


class Tree(BaseModel):
    children: list[Tree] = []


@bentofn.service
class Optionals:
    @bentofn.api
    def grow(self, tree: Tree, file: Path | None = None) -> int:
        return len(tree.children)


async def test_the_declaration_tells_what_the_page_does(open_app: Any) -> None:
    async with open_app(Documented) as client:
        assert (await client.get("/docs.json")).json == Documented.openapi_spec.asdict()


async def test_schema_json(open_app: Any) -> None:
    async with open_app(Documented) as client:
        schema = (await client.get("/schema.json")).json
    assert (schema["name"], schema["type"]) == ("Documented", "service")
    routes = {each["name"]: each for each in schema["routes"]}
    assert routes["embed"]["route"] == "/embed"
    assert routes["embed"]["batchable"]
    assert routes["embed"]["input"]["properties"]["array"] == {
        "type": "tensor",
        "format": "numpy-array",
        "title": "Array",
    }
    assert routes["shout"]["input"] == {"title": "Input", "root_input": True, "type": "string"}
    assert routes["upload"]["output"]["is_stream"]
    assert routes["upload"]["input"]["properties"]["files"]["items"] == {
        "type": "file",
        "format": "binary",
    }


async def test_schema_json_says_what_is_a_file_without_references(open_app: Any) -> None:
    async with open_app(Optionals) as client:
        schema = (await client.get("/schema.json")).json
    (route,) = schema["routes"]
    file, tree = route["input"]["properties"]["file"], route["input"]["properties"]["tree"]
    assert (file["type"], file["default"]) == ("file", None)
    assert tree["properties"]["children"]["items"] == {"type": "object"}
    assert "$" not in str(schema)


async def test_docs_json_is_openapi(open_app: Any) -> None:
    async with open_app(Documented) as client:
        docs = (await client.get("/docs.json")).json
    assert docs["openapi"] == "3.1.0"
    assert docs["info"]["description"] == "About shapes."
    embed = docs["paths"]["/embed"]["post"]
    assert (embed["summary"], embed["operationId"]) == ("Embed.", "embed")
    body = embed["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"]["array"] == {
        **{"type": "array", "items": {}, "title": "Array"},
        "format": "numpy-array",
    }
    assert body["examples"] == {"example 1": {"value": {"array": [[1]]}}}
    shout = docs["paths"]["/shout"]["post"]
    assert (
        shout["requestBody"]["content"]["text/plain"]["examples"]["example 1"]["value"] == "hello"
    )
    assert shout["responses"]["200"]["content"] == {
        "text/plain": {"schema": {"title": "Output", "type": "string"}}
    }
    upload = docs["paths"]["/upload"]["post"]
    files = upload["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["files"]
    own = files["items"].pop("x-bentofn")
    assert files["items"] == {"type": "string", "format": "binary"}
    assert own["type"] == "file"
    assert (shout["x-bentofn"], upload["x-bentofn"]) == ({"root": True}, {"stream": True})
    assert "x-bentofn" not in embed
    assert "text/event-stream" in upload["responses"]["200"]["content"]


@bentofn.service
class Shaped:
    @bentofn.api
    def scale(
        self,
        image: Annotated[np.ndarray, Shape((2, 3)), DType("float32")],
        counts: Annotated[np.ndarray, Shape((-1,)), DType("int64")] | None = None,
    ) -> Annotated[np.ndarray, Shape((2, 2, 2)), DType("bool")]:
        return np.zeros((2, 2, 2), bool)


async def test_docs_json_tells_shapes_and_element_types(open_app: Any) -> None:
    async with open_app(Shaped) as client:
        scale = (await client.get("/docs.json")).json["paths"]["/scale"]["post"]
    body = scale["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert body["image"] == {
        **{"title": "Image", "type": "array", "format": "numpy-array"},
        "items": {"type": "array", "items": {"type": "number"}},
        **{"dtype": "float32", "shape": [2, 3], "dim": 6},
    }
    counts = body["counts"]["anyOf"][0]
    assert (counts["items"], counts["dtype"], counts["shape"]) == (
        {"type": "integer"},
        "int64",
        [-1],
    )
    answer = scale["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["items"]["items"]["items"] == {"type": "boolean"}


async def test_two_models_of_one_name_stay_apart(open_app: Any) -> None:
    async with open_app(Documented) as client:
        docs = (await client.get("/docs.json")).json
    schemas = docs["components"]["schemas"]
    assert set(schemas["Item"]["properties"]) == {"name"}
    assert set(schemas["other_Item"]["properties"]) == {"size"}
    other = docs["paths"]["/other"]["post"]
    reference = other["requestBody"]["content"]["application/json"]["schema"]["properties"]["item"]
    assert reference == {"$ref": "#/components/schemas/other_Item"}
    answer = other["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["items"] == {"$ref": "#/components/schemas/other_Item"}


@bentofn.service
class Routed:
    @bentofn.api(route="/items/{item}/parts/{number:int}")
    def part(self, ctx: bentofn.Context) -> str:
        return ""


async def test_the_parameters_of_a_route(open_app: Any) -> None:
    async with open_app(Routed) as client:
        paths = (await client.get("/docs.json")).json["paths"]
    (described,) = paths.values()
    assert list(paths) == ["/items/{item}/parts/{number}"]
    assert [(each["name"], each["in"]) for each in described["parameters"]] == [
        ("item", "path"),
        ("number", "path"),
    ]
    assert described["parameters"][1]["schema"]["type"] == "integer"
