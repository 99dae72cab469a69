"""Who may open a websocket of a function's from a browser."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from bentofn.adapters.local.websockets import may_open
from bentofn.adapters.url import Cors

APP = Cors(origins=("https://app.example",))


@pytest.mark.parametrize(
    ("origin", "cors", "may"),
    [
        ("https://app.example", APP, True),
        ("http://127.0.0.1:3600", APP, True),
        ("https://evil.example", APP, False),
        ("http://127.0.0.1:8000", APP, False),
        ("null", APP, False),
        ("https://evil.example", Cors(), True),
        ("https://evil.example", None, True),
        (None, APP, True),
    ],
)
def test_it_goes_by_the_rules_of_the_url(origin: str | None, cors: Cors | None, may: bool) -> None:
    headers = CIMultiDict({"Origin": origin} if origin is not None else {})
    assert may_open(CIMultiDictProxy(headers), "127.0.0.1:3600", cors) is may
