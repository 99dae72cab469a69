from __future__ import annotations

from multidict import CIMultiDict

from bentofn.adapters.local.cors import is_preflight, preflight_headers, response_headers
from bentofn.adapters.url import Cors

PAGE = "https://page.example"
ASKED = CIMultiDict(
    {
        "origin": PAGE,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
    }
)


def test_only_a_browsers_question_is_a_preflight() -> None:
    assert is_preflight("OPTIONS", ASKED)
    assert not is_preflight("POST", ASKED)
    assert not is_preflight("OPTIONS", CIMultiDict({"origin": PAGE}))


def test_anyone_is_allowed_with_a_star() -> None:
    assert response_headers(Cors(), PAGE) == {"Access-Control-Allow-Origin": "*"}
    assert preflight_headers(Cors(), ASKED)["Access-Control-Allow-Methods"] == "PUT"


def test_with_credentials_the_origin_is_named() -> None:
    headers = response_headers(Cors(credentials=True), PAGE)
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"


def test_an_origin_that_is_not_listed_is_allowed_nothing() -> None:
    rules = Cors(origins=("https://other.example",))
    assert preflight_headers(rules, ASKED) == {"Vary": "Origin"}
    assert response_headers(rules, "https://other.example")["Access-Control-Allow-Origin"] == (
        "https://other.example"
    )


def test_a_request_without_an_origin_is_not_touched() -> None:
    assert response_headers(Cors(), None) == {}
