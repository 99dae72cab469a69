from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from bentofn.models import BentoModel
from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import ExampleArray, Export, declare

EXAMPLE = {"ids": [[1, 2]], "mask": np.ones((1, 2), np.int32)}


def test_a_declaration_survives_json() -> None:
    export = declare("m:latest", "model:build", EXAMPLE, {"ids": ["batch", None]})
    assert export.example == {
        "ids": ExampleArray("int64", [[1, 2]]),
        "mask": ExampleArray("int32", [[1, 1]]),
    }
    assert export.dynamic == {"ids": ("batch", None)}
    assert Export.from_plain(json.loads(json.dumps(asdict(export)))) == export


@pytest.mark.parametrize(
    ("data", "dtype"),
    [([1, 2], "int64"), ([1, 2.5], "float32"), ([True], "bool"), (3.0, "float32")],
)
def test_lists_have_the_dtypes_that_torch_would_give_them(data: object, dtype: str) -> None:
    export = declare("m", "a.b:c.d", {"x": data}, None)
    assert export.example == {"x": ExampleArray(dtype, data)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"module": None}, "needs module='file:function'"),
        ({"module": "model.py"}, "it is 'model.py'"),
        ({"example": None}, r"needs example=\{'input': \[\[...\]\]\}"),
        ({"example": "model"}, "is not 'file:function'"),
        ({"example": {"ids": [[1], [2, 3]]}}, "lists of equal length"),
        ({"example": {"ids": ["text"]}}, "must be numbers"),
        ({"example": {"ids": [0] * 200_000}}, "200000 numbers"),
        ({"dynamic": {"id": ["batch", None]}}, "'id', but the example has: ids, mask"),
        ({"dynamic": {"ids": ["batch"]}}, "names 1 axes, but the example has 2"),
        ({"dynamic": {"ids": "batch"}}, "must be a list"),
        ({"dynamic": {"ids": ["the batch", 2]}}, "a name for each axis"),
        ({"runtime": "tensorrt"}, "no runtime 'tensorrt'; there is onnx"),
        ({"runtime": None}, "no runtime None"),
    ],
)
def test_a_mistake_is_a_sentence(change: dict[str, Any], said: str) -> None:
    right = {"runtime": "onnx", "module": "model:build", "example": EXAMPLE}
    with pytest.raises(UserError, match=said):
        BentoModel("m:latest", **{**right, **change})
