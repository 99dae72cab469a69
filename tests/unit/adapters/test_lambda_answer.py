from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.lambda_answer import as_answered


@given(st.text())
def test_a_text_is_answered_as_over_http(text: str) -> None:
    kind, body = as_answered(json.dumps(text).encode())
    assert kind.startswith("text/plain")
    assert body.decode("utf-8", "surrogatepass") == text


def test_anything_else_stays_json() -> None:
    for content in (b'{"a": "b"}', b"[1]", b"null", b"3", b'"broken off'):
        assert as_answered(content) == ("application/json", content)
