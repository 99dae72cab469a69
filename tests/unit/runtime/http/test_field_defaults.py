from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import Field

import bentofn
from bentofn.runtime.io.signature import read_signature


def logged(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return call


@bentofn.service
class Fields:
    @bentofn.api
    def add(
        self, a: int, b: int = Field(3, ge=0), *, c: int = Field(default_factory=lambda: 4)
    ) -> int:
        return a + b + c

    @bentofn.api
    @logged
    def wrapped(self, a: int = Field(default=5, description="a number")) -> int:
        return a

    @bentofn.api
    async def later(self, a: int = Field(6)) -> int:
        return a

    @bentofn.api
    def needed(self, a: int = Field(..., ge=1)) -> int:
        return a

    @bentofn.api
    def gathered(
        self,
        one: str,
        into: list[str] = Field(default_factory=list),  # noqa: B008
    ) -> list[str]:
        into.append(one)
        return into

    @bentofn.api
    def calls(self) -> int:
        return self.add(1) + self.wrapped()


async def test_a_direct_call_gets_the_fields_default() -> None:
    fields = Fields()
    assert fields.add(1) == 8
    assert fields.add(1, 1, c=1) == 3
    assert fields.wrapped() == 5
    assert await fields.later() == 6
    assert fields.calls() == 13


def test_the_endpoint_keeps_the_field() -> None:
    signature = read_signature(Fields.apis["add"])
    assert [type(each.default).__name__ for each in signature.parameters[1:]] == ["FieldInfo"] * 2
    wrapped = read_signature(Fields.apis["wrapped"]).parameters[0].default
    assert wrapped.description == "a number"


async def test_a_request_gets_it_too(open_app: Any) -> None:
    async with open_app(Fields) as client:
        assert (await client.post("/add", {"a": 1})).text == "8"
        assert (await client.post("/wrapped", {})).text == "5"
        assert (await client.post("/add", {"a": 1, "b": -1})).status == 400
        assert (await client.post("/needed", {})).status == 400


def test_a_field_that_is_required_is_missed_and_a_factory_makes_a_new_value_each_time() -> None:
    fields = Fields()
    with pytest.raises(TypeError, match=r"Fields\.needed\(\) missing a required argument: 'a'"):
        fields.needed()
    assert fields.needed(0) == 0
    assert fields.gathered("a") == fields.gathered("a") == ["a"]
    assert fields.gathered("b", into=["a"]) == ["a", "b"]


@pytest.mark.parametrize("name", ["add", "later"])
def test_the_kind_of_a_method_stays(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(Fields(), name)) is (name == "later")
