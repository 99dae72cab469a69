"""A deployment's word on batching comes before the endpoint's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import bentofn
from bentofn.adapters.batching import Batching, batching_environment


@bentofn.service(threads=1)
class Counting:
    def __init__(self) -> None:
        self.batches: list[int] = []

    @bentofn.api(batchable=True, max_batch_size=64)
    def double(self, numbers: list[int]) -> list[int]:
        self.batches.append(len(numbers))
        return [2 * number for number in numbers]


@pytest.mark.parametrize(
    ("said", "largest"),
    [(None, 12), (Batching(max_batch_size=6), 6), (Batching(enabled=False), 3)],
)
async def test_requests_are_joined_as_the_deployment_says(
    said: Batching | None,
    largest: int,
    open_app: Callable[[Any], AbstractAsyncContextManager[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in batching_environment(said).items():
        monkeypatch.setenv(name, value)
    async with open_app(Counting) as client:
        asked = [client.post("/double", {"numbers": [n, n, n]}) for n in range(12)]
        answers = await asyncio.gather(*asked)
        assert [answer.json for answer in answers] == [[2 * n] * 3 for n in range(12)]
        sizes = client.app.instance.batches
        assert max(sizes) == largest if said else max(sizes) >= largest
