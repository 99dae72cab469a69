from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import bentofn
from bentofn.runtime.api import find_apis
from bentofn.runtime.errors import UserError


class Methods:
    @bentofn.api
    def plain(self) -> str:
        """First line.

        More.
        """
        return "plain"

    @bentofn.api(route="/custom", batchable=True, batch_dim=(0, 1), max_batch_size=7, name="x")
    def batched(self, items: list[int]) -> list[int]:
        return items

    @bentofn.api
    def __call__(self) -> str:
        return ""

    def no_endpoint(self) -> None: ...


def test_what_is_declared() -> None:
    apis = find_apis(Methods)
    assert {name: api.route for name, api in apis.items()} == {
        "plain": "/plain",
        "batched": "/custom",
        "__call__": "/",
    }
    assert apis["plain"].doc == "First line.\n\nMore."
    assert (apis["batched"].batch_dim, apis["batched"].max_batch_size) == ((0, 1), 7)
    assert apis["batched"].name == "batched"
    assert apis["plain"].location == "Methods.plain"


def test_the_method_stays_a_method() -> None:
    methods = Methods()
    assert methods.plain() == Methods.plain(methods) == "plain"
    assert methods.plain.__name__ == "plain"
    assert inspect.ismethod(methods.no_endpoint)
    assert str(inspect.signature(methods.batched)) == "(items: 'list[int]') -> 'list[int]'"


def test_local_calls_the_method_as_in_bentoml() -> None:
    methods = Methods()
    assert methods.batched.local([1]) == [1]  # type: ignore[attr-defined]
    assert methods.plain.local() == "plain"  # type: ignore[attr-defined]


def test_a_subclass_and_a_decorator_around_it_call_the_endpoint() -> None:
    def loudly(method: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(method)
        def call(*args: Any) -> str:
            return method(*args).upper()

        return call

    class Own(Methods):
        @bentofn.api
        def plain(self) -> str:
            return f"own {super().plain()}"

        @loudly
        @bentofn.api
        def loud(self) -> str:
            return "loud"

    assert (Own().plain(), Own().loud()) == ("own plain", "LOUD")
    assert find_apis(Own)["loud"].route == "/loud"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"route": "custom"}, "route 'custom' must start with a slash"),
        ({"max_batch_size": 1}, "max_batch_size must be above 1"),
        ({"max_latency_ms": 0}, "max_latency_ms must be above 0"),
        ({"batch_dim": (0, 1, 2)}, "batch_dim must be an axis or a pair"),
        ({"examples": ["text"]}, "each example is a JSON object"),
    ],
)
def test_an_argument_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):

        @bentofn.api(**arguments)
        def method(self: object) -> None: ...


def test_only_functions_are_endpoints() -> None:
    with pytest.raises(UserError, match="is for methods"):
        bentofn.api(3)  # type: ignore[call-overload]
