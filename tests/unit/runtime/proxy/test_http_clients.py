"""Clients for the routes of a sibling."""

from __future__ import annotations

import pytest

from bentofn.runtime.proxy.addresses import MEDIA_TYPE
from bentofn.runtime.proxy.http_clients import async_client, sync_client

PICKLED = [MEDIA_TYPE, MEDIA_TYPE.upper(), f" {MEDIA_TYPE}; charset=utf-8"]


def nowhere() -> str:
    raise AssertionError("the request was sent")


@pytest.mark.parametrize("media_type", PICKLED)
async def test_what_a_service_would_unpickle_is_not_passed_on(media_type: str) -> None:
    headers = [("Content-Type", "text/plain"), ("Content-Type", media_type)]
    with sync_client("http://sibling", nowhere, 1) as client:
        assert client.post("/", content=b"\x80\x05.", headers=headers).status_code == 415
    async with async_client("http://sibling", nowhere, 1) as other:
        assert (await other.post("/", content=b"\x80\x05.", headers=headers)).status_code == 415


def test_anything_else_is() -> None:
    with sync_client("http://sibling", nowhere, 1) as client, pytest.raises(AssertionError):
        client.post("/", content=b"{}", headers={"Content-Type": "application/json"})
