"""Clients that are generated from the document of stock BentoML call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bentofn.packager.clients.interface import Described
from bentofn.packager.clients.openapi import fetch_document
from bentofn.packager.clients.python import python_client
from bentofn.packager.clients.schemas import body_of

pytestmark = pytest.mark.slow


def read(port: int) -> Described:
    return fetch_document(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("case", ["clients", "tasks"])
def test_both_documents_are_read_alike(case: str, stock: Mapping[str, int], ours: int) -> None:
    def told(port: int) -> dict[str, Any]:
        return {
            each.name: (
                *(each.route, each.is_root, each.is_stream, each.is_task),
                body_of(each.input, is_root=each.is_root),
            )
            for each in read(port).operations
        }

    assert told(stock[case]) == told(ours)


@pytest.mark.parametrize("case", ["clients"])
def test_a_generated_client_calls_bentoml(case: str, stock: Mapping[str, int]) -> None:
    names: dict[str, Any] = {}
    exec(python_client(read(stock[case])), names)
    with names["CaseClient"](f"http://127.0.0.1:{stock[case]}") as client:
        assert client.add(a=2, b=3) == 5
        assert client.corner({"x": 2}) == {"x": 2.0, "y": 2.0}
        assert list(client.grow(np.array([1, 2]))) == [2, 4]
        assert "".join(client.spell(word="abc")) == "abc"
