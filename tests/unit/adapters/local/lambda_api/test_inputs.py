"""Whatever callers and functions send: an answer or a refusal, never a fault of ours."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.lambda_.api.answers import INTEGRATION, NoAnswer, buffered, streamed
from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.events import UrlRequest, event_of
from bentofn.adapters.local.lambda_.api.names import arn, parse, version_number
from bentofn.adapters.local.lambda_.api.signature import Signable, Unsigned, verify

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
RESPONSE = st.fixed_dictionaries(
    {},
    optional={
        "statusCode": JSON | st.integers(100, 599),
        "headers": JSON | st.dictionaries(st.text(), st.text()),
        "cookies": JSON | st.lists(st.text()),
        "body": JSON,
        "isBase64Encoded": JSON,
    },
)
TEXT = st.text(st.characters(codec="latin-1"))


def check(answer: Any) -> None:
    assert 200 <= answer.status <= 599
    assert isinstance(answer.body, bytes)
    for name, value in answer.headers:
        assert not set("\r\n\0") & set(name + value)
        assert name.isascii()
        assert " " not in name
        assert value.encode() is not None


@given(RESPONSE | JSON)
def test_any_value_of_a_function_is_a_response_or_none(value: Any) -> None:
    payload = json.dumps(value).encode()
    try:
        check(buffered(payload))
    except NoAnswer:
        assert "statusCode" in value
    with contextlib.suppress(NoAnswer):
        check(streamed(payload + b"\0" * 8 + b"body", INTEGRATION))


@given(st.binary())
def test_any_bytes_of_a_function_are_a_response(payload: bytes) -> None:
    check(buffered(payload))
    check(streamed(payload, "application/octet-stream"))


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT)), st.binary(), TEXT)
def test_any_request_is_an_event_of_json(
    path: str, query: str, headers: list[tuple[str, str]], body: bytes, host: str
) -> None:
    request = UrlRequest(
        "id", "POST", path, query, headers, body, host, "127.0.0.1", 1.5, "Root=1", "f"
    )
    event = json.loads(json.dumps(event_of(request)))
    assert (event["rawPath"], event["rawQueryString"]) == (path, query)
    if body and not event["isBase64Encoded"]:
        assert event["body"].encode() == body


@given(TEXT, TEXT, st.dictionaries(TEXT.map(str.lower), TEXT), st.binary(max_size=9))
def test_nothing_that_was_not_signed_is_taken(
    path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    with pytest.raises(Unsigned):
        verify(Signable("GET", path, query, headers, body), {"AKIA": "secret"}, 0.0)


@given(
    st.from_regex(
        r"AWS4-HMAC-SHA256 Credential=AKIA/[0-9a-z/_]*,SignedHeaders=(host|;|a)+,"
        r"Signature=[0-9a-f]{64}",
        fullmatch=True,
    ),
    st.sampled_from(["20150830T123600Z", "", "today", "99999999T999999Z"]),
)
def test_no_broken_signature_is_taken(authorization: str, moment: str) -> None:
    headers = {"authorization": authorization, "x-amz-date": moment, "host": "a"}
    with pytest.raises(Unsigned):
        verify(Signable("GET", "/", "", headers, b""), {"AKIA": "secret"}, 1440938160.0)


ODD = TEXT | st.sampled_from(["9" * 5000, "\u0663\u0660", "99991231T235959Z", "host", "\udcff"])


@given(
    st.fixed_dictionaries(
        {"X-Amz-Credential": st.just("AKIA/20150830/a/lambda/aws4_request") | ODD},
        optional={
            "X-Amz-Date": st.just("20150830T123600Z") | ODD,
            "X-Amz-Expires": st.just("60") | ODD,
            "X-Amz-SignedHeaders": st.just("host") | ODD,
            "X-Amz-Signature": ODD,
        },
    )
)
def test_no_broken_presigned_address_is_taken(query: dict[str, str]) -> None:
    pairs = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", **query}
    asked = urlencode(pairs, errors="surrogateescape")
    with pytest.raises(Unsigned):
        verify(Signable("GET", "/", asked, {"host": "a"}, b""), {"AKIA": "secret"}, 1440938160.0)


@pytest.mark.parametrize("moment", ["00010101T000000Z", "99991231T235959Z"])
def test_the_ends_of_time_are_not_now(moment: str) -> None:
    asked = urlencode(
        {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"AKIA/{moment[:8]}/a/lambda/aws4_request",
            "X-Amz-Date": moment,
            "X-Amz-Expires": "604800",
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": "\xff",
        }
    )
    with pytest.raises(Unsigned, match="Signature"):
        verify(Signable("GET", "/", asked, {"host": "a"}, b""), {"AKIA": "secret"}, 1440938160.0)


@given(st.text() | st.text("0123456789\u0663", min_size=1))
def test_a_version_is_a_number_that_a_deployment_can_have(qualifier: str) -> None:
    found = version_number(qualifier)
    assert found is None or (qualifier == str(found) and 0 < found < 10**9)


@given(st.text(), st.none() | st.text())
def test_any_name_is_read_or_refused(identifier: str, qualifier: str | None) -> None:
    try:
        name = parse(identifier, qualifier)
    except LambdaError as refusal:
        status, body = refusal.status, refusal.body()
        assert (status, bool(json.loads(body))) == (400, True)
    else:
        assert parse(name.arn) == name


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True) | st.just("$LATEST"),
)
def test_an_arn_names_what_it_was_made_of(function: str, qualifier: str | None) -> None:
    name = parse(arn(function, qualifier))
    assert (name.function, name.qualifier) == (function, qualifier)
