"""Parameters, defaults and input specs."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field, ValidationError

from bentofn.runtime.api import api, find_apis
from bentofn.runtime.errors import UserError
from bentofn.runtime.io.spec import EndpointSpec, build_spec


class Spec(BaseModel):
    size: int = Field(gt=0)
    model: str = "small"


class Result(BaseModel):
    size: int


class Methods:
    @api
    def limited(self, top: int = Field(default=5, ge=1, description="How many.")) -> int:
        return top

    @api
    def shared(self, items: list[int] = []) -> list[int]:  # noqa: B006 - users write this
        return items

    @api
    def names(self, model_config: int, __private: int = 1, self_: int = 2) -> int:
        return model_config

    @api(input_spec=Spec, output_spec=Result)
    def specified(self, size, model):  # type: ignore[no-untyped-def]
        return {"size": size}

    @api(input_spec=Spec)
    def mismatched(self, size: int) -> int:
        return size

    @api
    def anything(self, first: int, **rest: Any) -> int:
        return first

    @api(input_spec=Spec)
    def any_of_spec(self, **params: Any) -> int:
        return len(params)

    @api
    def some(self, *values: int) -> int:
        return sum(values)

    @api
    def aliased(
        self,
        size: int = Field(1, alias="sizeInCm"),
        first: int = Field(2, validation_alias=AliasPath("pair", 0)),
        wide: Annotated[int, Field(validation_alias=AliasChoices("w", "width"))] = 3,
    ) -> int:
        return size

    @api(input_spec=int)
    def no_model(self, size: int) -> int:
        return size


APIS = find_apis(Methods)


def spec(name: str) -> EndpointSpec:
    return build_spec(APIS[name])


def read(name: str, body: bytes) -> dict[str, Any]:
    positional, named = spec(name).input.from_body(body, "application/json", None)
    assert positional == ()
    return named


def test_defaults_and_limits_of_a_field() -> None:
    assert read("limited", b"") == {"top": 5}
    assert read("limited", b'{"top": 1}') == {"top": 1}
    with pytest.raises(ValidationError):
        read("limited", b'{"top": 0}')
    properties = spec("limited").input.schema["properties"]
    assert properties["top"]["description"] == "How many."
    assert properties["top"]["minimum"] == 1


def test_a_field_may_have_another_name_in_a_body() -> None:
    given = read("aliased", b'{"sizeInCm": 5, "pair": [6, 7], "width": 8}')
    assert given == {"size": 5, "first": 6, "wide": 8}
    assert read("aliased", b'{"size": 5, "first": 6}') == {"size": 1, "first": 2, "wide": 3}
    assert "sizeInCm" in spec("aliased").input.schema["properties"]


def test_a_dependency_is_called_by_its_parameters_names() -> None:
    given = {"size": 5, "wide": 8}
    _, named = spec("aliased").input.from_values(given, None)
    assert named == {"size": 5, "first": 2, "wide": 8}


def test_a_mutable_default_is_not_shared() -> None:
    one = read("shared", b"{}")["items"]
    one.append(1)
    assert read("shared", b"{}")["items"] == []


def test_any_parameter_name_will_do() -> None:
    named = read("names", b'{"model_config": 3, "self_": 4}')
    assert named == {"model_config": 3, "_Methods__private": 1, "self_": 4}


def test_specs_replace_the_annotations() -> None:
    assert read("specified", b'{"size": 2}') == {"size": 2, "model": "small"}
    with pytest.raises(ValidationError):
        read("specified", b'{"size": 0}')
    assert spec("specified").output.encode({"size": 2}).content == b'{"size":2}'
    assert spec("specified").input.schema["properties"]["size"]["exclusiveMinimum"] == 0


def test_named_arguments_that_are_not_declared() -> None:
    assert read("anything", b'{"first": 1, "kwargs": {"b": 2}}') == {"first": 1, "b": 2}
    with pytest.raises(ValidationError):
        read("anything", b'{"first": 1}')
    assert read("any_of_spec", b'{"size": 1}') == {"size": 1, "model": "small"}


def test_specs_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"has the fields \['model', 'size'\] but the method takes"):
        spec("mismatched")
    with pytest.raises(UserError, match="input_spec must be a pydantic model"):
        spec("no_model")
