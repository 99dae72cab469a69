from __future__ import annotations

import pytest
from pydantic import BaseModel

from bentofn import use_arguments
from bentofn.exceptions import InvalidArgument
from bentofn.runtime.arguments import VARIABLE, arguments_of, set_arguments, with_arguments


class Arguments(BaseModel):
    model: str
    size: int = 4


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "{}")


def test_arguments_are_attributes() -> None:
    set_arguments({"model": "small", "deep": {"a": [1]}})
    set_arguments({"model": "large"})
    found = use_arguments()
    assert (found.model, found.deep) == ("large", {"a": [1]})


def test_a_model_checks_and_completes_them() -> None:
    set_arguments({"model": "small", "size": "8"})
    assert use_arguments(Arguments) == Arguments(model="small", size=8)


def test_what_does_not_fit_the_model() -> None:
    with pytest.raises(InvalidArgument, match=r"argument model does not fit: .*--arg model=VALUE"):
        use_arguments(Arguments)


def test_they_travel_in_the_environment() -> None:
    env = with_arguments({"A": "1"}, {"b": "ü", "a": 2})
    assert env == {"A": "1", VARIABLE: '{"a":2,"b":"ü"}'}
    assert arguments_of(with_arguments(env, {"b": 3})) == {"a": 2, "b": 3}
    assert with_arguments({"A": "1"}, {}) == {"A": "1"}


@pytest.mark.parametrize("text", ["", "[]", "{", "3"])
def test_what_is_no_object(text: str) -> None:
    with pytest.raises(InvalidArgument, match=VARIABLE):
        arguments_of({VARIABLE: text})
