"""Values survive the wire: what an endpoint returns, an endpoint that takes it gets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel, Field, ValidationError

from bentofn.runtime.api import api, find_apis
from bentofn.runtime.context import Context
from bentofn.runtime.io.spec import EndpointSpec, build_spec

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def echo(annotation: Any) -> EndpointSpec:
    """An endpoint that takes and returns a type."""

    def method(self: object, value: Any) -> Any:
        return value

    method.__annotations__ = {"value": annotation, "return": annotation}
    return build_spec(find_apis(type("Echo", (), {"method": api(method)}))["method"])


def through(spec: EndpointSpec, value: Any) -> Any:
    """A value after it went out and came back in."""
    answer = spec.output.encode(value)
    body = answer.content
    assert isinstance(body, bytes)
    if answer.media_type.startswith("text/plain"):
        body = json.dumps(body.decode()).encode()
    _, named = spec.input.from_body(b'{"value":' + body + b"}", "application/json", None)
    return named["value"]


class Sample(BaseModel):
    name: str
    scores: list[float] = []
    inner: Sample | None = None


ANY, ARRAY, FLOATS = echo(Any), echo(np.ndarray), echo(npt.NDArray[np.float32])


@given(JSON)
def test_json(value: Any) -> None:
    assert through(ANY, value) == value


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.int64, np.bool_]),
        hnp.array_shapes(max_dims=4, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_arrays(array: np.ndarray) -> None:
    result = through(ARRAY, array)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(max_dims=3, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_the_element_type_of_an_annotation_is_kept(array: np.ndarray) -> None:
    result = through(FLOATS, array)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, array)


def test_an_empty_array_and_one_number() -> None:
    assert through(ARRAY, np.zeros((0,))).shape == (0,)
    assert through(ARRAY, np.array(3)).shape == ()
    assert through(echo(npt.NDArray[np.floating]), np.ones(1)).dtype == np.float64


@pytest.mark.parametrize("value", ["[[1], [1, 2]]", '[{"a": 1}]', "[null, {}]", "null"])
def test_what_is_not_an_array(value: str) -> None:
    request = Context({"type": "http", "headers": []}, b"", {})
    with pytest.raises(ValidationError):
        ARRAY.input.from_body(f'{{"value": {value}}}'.encode(), "application/json", request)


def test_a_method_that_says_array_may_return_something_else() -> None:
    """Services annotate the array that they compute, and return it inside a dict."""
    for value in ({"prediction": [1.0, 2]}, ["rice", None], [{"a": [1]}, {}], {"error": "none"}):
        assert json.loads(ARRAY.output.encode(value).content) == value


def test_an_array_with_gaps_and_one_of_objects() -> None:
    """Rows of a table lack values, and labels of pandas' columns come as objects."""
    (body, media_type) = b'{"value": [[1, null], [2.5, "a"]]}', "application/json"
    _, given = ARRAY.input.from_body(body, media_type, None)
    assert given["value"].tolist() == [[1, None], [2.5, "a"]]
    labels = np.array(["rice", "soup", None], dtype=object)
    assert json.loads(ARRAY.output.encode(labels).content) == ["rice", "soup", None]


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    result = through(echo(torch.Tensor), torch.ones(2, 3, dtype=torch.bfloat16))
    assert torch.equal(result, torch.ones(2, 3))
    with pytest.raises(ValidationError):
        echo(torch.Tensor).input.from_body(b'{"value": "x"}', "", None)


def test_data_frames() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(through(echo(pd.DataFrame), frame), frame)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Sample, Sample(name="a", scores=[1.5], inner=Sample(name="b"))),
        (dict[str, list[Sample]], {"k": [Sample(name="a")]}),
        (Optional[int], None),  # noqa: UP045
        (int | str, "x"),
        (Literal["a", "b"], "b"),
        (Annotated[int, Field(ge=0)], 3),
        (tuple[int, str], (1, "a")),
    ],
)
def test_typed_values(annotation: Any, value: Any) -> None:
    assert through(echo(annotation), value) == value


def test_arrays_inside_other_types() -> None:
    spec = echo(dict[str, list[np.ndarray | None]])
    result = through(spec, {"a": [np.arange(2), None]})
    np.testing.assert_array_equal(result["a"][0], [0, 1])
    assert result["a"][1] is None


def test_numbers_of_array_libraries_inside_untyped_results() -> None:
    torch = pytest.importorskip("torch")
    value = {"a": np.float32(0.5), "b": np.arange(2), "c": torch.ones(1, requires_grad=True)}
    for annotation in (Any, dict, dict[str, Any]):
        body = echo(annotation).output.encode(value).content
        assert json.loads(body) == {"a": 0.5, "b": [0, 1], "c": [1.0]}


def test_what_json_has_no_word_for_is_null() -> None:
    for annotation, value in [
        (np.ndarray, np.array([math.nan, math.inf])),
        (list[float], [math.nan, math.inf]),
        (Any, [math.nan, math.inf]),
    ]:
        assert echo(annotation).output.encode(value).content == b"[null,null]"


@pytest.mark.parametrize(
    ("annotation", "value"), [(int, "many"), (str, 3), (np.ndarray, [[1], [2, 3]]), (Any, object())]
)
def test_a_result_of_another_type(annotation: Any, value: Any) -> None:
    with pytest.raises(ValueError):  # of which pydantic's errors are kinds
        echo(annotation).output.encode(value)


def test_text_is_the_body_itself_also_where_it_is_one_of_several_types() -> None:
    for annotation in (str, str | None, str | dict, Any, Literal["a"]):
        body = echo(annotation).output.encode("a")
        assert (body.content, body.media_type) == (b"a", "text/plain; charset=utf-8")
    assert echo(str | None).output.encode(None).content == b"null"
    assert echo(Any).output.encode(b"\xff").content == b"\xff"


def test_a_list_of_files_cannot_be_returned() -> None:
    with pytest.warns(UserWarning, match="a list of files cannot be sent"):
        output = echo(list[Path]).output
    with pytest.raises(TypeError, match="return one file"):
        output.encode([Path("a")])


@given(st.text())
def test_a_form_field_of_text_stays_text(text: str) -> None:
    from starlette.datastructures import FormData

    _, named = echo(str).input.from_form(FormData([("value", text)]), None)
    decoded = json.loads(text) if text.startswith('"') and _is_json(text) else text
    assert named["value"] == decoded


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
