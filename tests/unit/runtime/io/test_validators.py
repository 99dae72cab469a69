"""What annotations say about arrays, tables, files and texts."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from PIL.Image import Image
from pydantic import BaseModel, ConfigDict, ValidationError

import bentofn
from bentofn.runtime.api import api, find_apis
from bentofn.runtime.errors import UserError
from bentofn.runtime.io.spec import EndpointSpec, build_spec
from bentofn.validators import (
    ContentType,
    DataframeSchema,
    DType,
    FileSchema,
    PILImageEncoder,
    Shape,
    TensorSchema,
)


def spec_of(function: Any, **options: Any) -> EndpointSpec:
    method = api(**options)(function)
    return build_spec(find_apis(type("S", (), {function.__name__: method}))[function.__name__])


def echo(annotation: Any) -> EndpointSpec:
    def method(self: object, value: Any) -> Any: ...

    method.__annotations__ = {"value": annotation, "return": annotation}
    return spec_of(method)


def given(annotation: Any, value: Any) -> Any:
    body = json.dumps({"value": value}).encode()
    _, named = echo(annotation).input.from_body(body, "application/json", None)
    return named["value"]


def schema(annotation: Any) -> dict[str, Any]:
    found = dict(echo(annotation).input.schema["properties"]["value"])
    found.pop("title", None)
    return found


def test_an_array_is_brought_into_its_shape_and_type() -> None:
    square = Annotated[np.ndarray, Shape((2, 2)), DType("float32")]
    array = given(square, [1, 2, 3, 4])
    assert (array.shape, array.dtype) == ((2, 2), np.float32)
    with pytest.raises(ValidationError, match=r"cannot reshape array of size 3 into shape \(2,2\)"):
        given(square, [1, 2, 3])
    assert schema(square) == {
        "type": "tensor",
        "format": "numpy-array",
        "dtype": "float32",
        "shape": [2, 2],
        "dim": 4,
    }
    assert schema(Annotated[np.ndarray, Shape((-1, 2))])["dim"] == -2


def test_what_a_method_returns_keeps_its_shape() -> None:
    spec = echo(Annotated[np.ndarray, Shape((2, 2))])
    assert json.loads(bytes(spec.output.encode(np.arange(3)).content)) == [0, 1, 2]


def test_two_types_of_one_array() -> None:
    with pytest.raises(UserError, match="float64"):
        echo(Annotated[npt.NDArray[np.float64], DType("float32")])
    assert given(Annotated[npt.NDArray[np.float32], DType("float32")], [1]).dtype == np.float32


def test_a_tensor_is_brought_into_its_shape_and_type() -> None:
    tensor = given(Annotated[torch.Tensor, Shape((3, 1)), DType("int64")], [1, 2, 3])
    assert (tuple(tensor.shape), tensor.dtype) == ((3, 1), torch.int64)


def test_tensorflows_tensors() -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    annotation = Annotated[tf.Tensor, Shape((2, 1)), DType("float32")]
    tensor = given(annotation, [1, 2])
    assert (tuple(tensor.shape), tensor.dtype) == ((2, 1), tf.float32)
    assert json.loads(bytes(echo(annotation).output.encode(tensor).content)) == [[1.0], [2.0]]
    assert schema(annotation)["format"] == "tf-tensor"


def test_a_table_selects_and_orders_its_columns() -> None:
    annotation = Annotated[pd.DataFrame, DataframeSchema(orient="columns", columns=("b", "z"))]
    table = given(annotation, {"a": [1, 2], "b": [3, 4]})
    assert list(table.columns) == ["b", "z"]
    assert table["z"].isna().all()
    answer = bytes(echo(annotation).output.encode(pd.DataFrame({"b": [3, 4]})).content)
    assert json.loads(answer) == {"b": [3, 4]}
    assert schema(annotation) == {"type": "dataframe", "orient": "columns", "columns": ["b", "z"]}
    with pytest.raises(UserError):
        echo(Annotated[pd.DataFrame, DataframeSchema(orient="split")])


def upload(content_type: str | None, content: bytes = b"x") -> Any:
    import io

    from starlette.datastructures import Headers, UploadFile

    headers = Headers({} if content_type is None else {"content-type": content_type})
    return UploadFile(io.BytesIO(content), filename="a.png", headers=headers)


def test_a_file_is_of_its_content_type(tmp_path: Path) -> None:
    class Folder:
        temp_dir = str(tmp_path)

    annotation = Annotated[Path, ContentType("image/*")]
    assert schema(annotation) == {"type": "file", "format": "image", "content_type": "image/*"}
    take = echo(annotation).input._validator
    for content_type in ("image/png", None):
        taken = take.validate_python({"value": upload(content_type)}, context=Folder())
        assert taken.field_0.read_bytes() == b"x"
    with pytest.raises(ValidationError, match=r"Invalid content type text/plain, expected image/"):
        take.validate_python({"value": upload("text/plain")}, context=Folder())


def test_lists_and_options_of_files() -> None:
    assert echo(Annotated[Path, ContentType("audio/mp3")] | None).input.takes_files
    for element in (Path, Annotated[Path, ContentType("image/jpeg")], Image):

        def take(self: object, files: list[element]) -> int:  # type: ignore[valid-type]
            return len(files)

        take.__annotations__ = {"files": list[element], "return": int}
        spec = spec_of(take)
        assert spec.input.takes_files
        assert spec.input.schema["properties"]["files"]["items"]["type"] == "file"


def test_the_media_type_of_an_answer(tmp_path: Path) -> None:
    html = echo(Annotated[str, ContentType("text/html")]).output
    assert html.media_type == html.encode("<p>").media_type == "text/html; charset=utf-8"
    data = echo(Annotated[dict[str, int], ContentType("application/problem+json")]).output
    assert data.encode({"a": 1}).media_type == "application/problem+json"
    audio = echo(Annotated[Path, ContentType("audio/x-own")]).output
    assert audio.encode(tmp_path / "a.unknown-suffix").media_type == "audio/x-own"
    assert audio.encode(tmp_path / "a.txt").media_type == "text/plain"

    def lines(
        self: object,
    ) -> Annotated[Generator[str, None, None], ContentType("application/x-ndjson")]:
        yield "1"

    lines.__annotations__ = {
        "return": Annotated[Generator[str, None, None], ContentType("application/x-ndjson")]
    }
    spec = spec_of(lines)
    assert spec.signature.is_stream
    assert spec.output.media_type == "application/x-ndjson"


class Numbers(bentofn.IODescriptor):
    values: Annotated[np.ndarray, Shape((-1, 2))]
    table: pd.DataFrame
    note: str = "none"


def test_a_descriptor_stands_for_the_body() -> None:
    def take(self: object, **parameters: Any) -> str: ...

    spec = spec_of(take, input_spec=Numbers)
    body = json.dumps({"values": [1, 2, 3, 4], "table": [{"a": 1}]}).encode()
    _, named = spec.input.from_body(body, "application/json", None)
    assert named["values"].shape == (2, 2)
    assert named["table"].to_dict("list") == {"a": [1]}
    assert named["note"] == "none"
    properties = spec.input.schema["properties"]
    assert (properties["values"]["type"], properties["table"]["type"]) == ("tensor", "dataframe")


class More(Numbers):
    image: Path | None = None


def test_a_descriptor_may_be_inherited_from() -> None:
    found = More(values=[[1, 2]], table=[{"a": 1}])
    assert found.values.shape == (1, 2)


class OfUsers(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    array: Annotated[np.ndarray, TensorSchema("numpy-array", "float32", (2,))]
    tensor: Annotated[torch.Tensor, TensorSchema("torch-tensor")]
    table: Annotated[pd.DataFrame, DataframeSchema(columns=("a",))]
    file: Annotated[Path, FileSchema(content_type="image/*")]
    image: Annotated[Image, PILImageEncoder()]


def test_schemas_work_in_the_users_own_models() -> None:
    properties = OfUsers.model_json_schema()["properties"]
    assert [properties[name]["type"] for name in OfUsers.model_fields] == [
        "tensor", "tensor", "dataframe", "file", "file",
    ]  # fmt: skip


def test_star_parameters() -> None:
    def take(self: object, first: int, *others: float, key: str = "k", **rest: Any) -> str: ...

    take.__annotations__ = {"first": int, "others": float, "key": str, "rest": Any, "return": str}
    spec = spec_of(take)
    body = json.dumps({"first": 1, "args": [2, "3"], "kwargs": {"x": 4}}).encode()
    assert spec.input.from_body(body, "application/json", None) == (
        (1, 2.0, 3.0),
        {"key": "k", "x": 4},
    )
    none = json.dumps({"first": 1, "kwargs": {}}).encode()
    assert spec.input.from_body(none, "application/json", None) == ((1,), {"key": "k"})

    def before(self: object, ctx: Any, *values: int) -> str: ...

    before.__annotations__ = {"values": int, "return": str}
    with pytest.raises(UserError, match=r"put the parameter 'ctx' after \*values"):
        spec_of(before)
