from __future__ import annotations

import pytest

from bentofn.adapters.local.console.guard import why_not


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:3600", "localhost:3600", "localhost", "[::1]:3600", "127.9.9.9", "a.localhost:80"],
)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert why_not({"Host": host}) == ""


@pytest.mark.parametrize(
    "host",
    ["evil.example:3600", "127.0.0.1.evil.example", "localhost.evil.example", "", "[", "10.0.0.1"],
)
def test_a_name_that_was_made_to_lead_here_is_not(host: str) -> None:
    assert "name of this machine" in why_not({"Host": host})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:3600"])
def test_pages_of_other_sites_are_not(origin: str) -> None:
    assert "another site" in why_not({"Host": "127.0.0.1:3600", "Origin": origin})


def test_the_page_itself_is() -> None:
    headers = {"Host": "127.0.0.1:3600", "Origin": "http://127.0.0.1:3600"}
    assert why_not({**headers, "Sec-Fetch-Site": "same-origin"}) == ""


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_asks_for_without_an_origin_is_not(site: str) -> None:
    headers = {"Host": "127.0.0.1:3600", "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert "another site" in why_not(headers)


def test_a_link_on_another_site_may_be_followed() -> None:
    headers = {"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert why_not({**headers, "Sec-Fetch-Dest": "document"}) == ""
    assert why_not({**headers, "Sec-Fetch-Dest": "iframe"}) != ""
