"""Which endpoint a call means."""

from __future__ import annotations

import pytest

from bentofn.adapters.endpoints import choose_route
from bentofn.runtime.errors import UserError


def test_a_call_names_an_endpoint_where_there_are_several() -> None:
    assert choose_route("f", {"embed": "/v1/embed"}, None) == "/v1/embed"
    assert choose_route("f", {"embed": "/embed", "rank": "/rank"}, "rank") == "/rank"


@pytest.mark.parametrize(
    ("routes", "api", "told"),
    [
        ({}, None, "has no endpoint to invoke"),
        ({}, "embed", "has no endpoint to invoke"),
        ({"embed": "/embed", "rank": "/rank"}, None, "several endpoints; name one of: embed, rank"),
        ({"embed": "/embed"}, "rank", "no endpoint 'rank'; name one of: embed"),
    ],
)
def test_a_call_that_names_none_is_told_what_there_is(
    routes: dict[str, str], api: str | None, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        choose_route("f", routes, api)
