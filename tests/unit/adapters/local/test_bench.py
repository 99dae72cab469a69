"""What an example is sent as, where only the contract is known."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

import bentofn
from bentofn.adapters.local.bench import _sent
from bentofn.runtime.contract import describe
from bentofn.runtime.io.spec import build_spec


class Order(BaseModel):
    count: int


@bentofn.service
class Forms:
    @bentofn.api(examples=[{"root": {"count": 3}}])
    def order(self, order: Order, /) -> int:
        return order.count

    @bentofn.api(examples=[{"root": "plain words"}])
    def text(self, text: str, /) -> str:
        return text

    @bentofn.api(examples=[{"root": "raw"}])
    def data(self, data: bytes, /) -> int:
        return len(data)

    @bentofn.api(examples=[{"root": [1]}])
    def numbers(self, numbers: list[int], /) -> int:
        return sum(numbers)

    @bentofn.api(examples=[{"text": "hi"}])
    def named(self, text: str) -> str:
        return text


@pytest.mark.parametrize("name", list(Forms.apis))
def test_an_example_is_sent_as_it_is_at_the_warm_up(name: str) -> None:
    method = Forms.apis[name]
    (api,) = (each for each in describe(Forms).apis if each.name == name)
    body, content_type = _sent(method.examples[0], json.loads(json.dumps(api.input_schema)))
    right, right_type = build_spec(method).input.example_body(method.examples[0])
    assert content_type == right_type
    assert body == right or json.loads(body) == json.loads(right)
