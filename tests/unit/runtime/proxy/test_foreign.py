"""Calls of a service at a URL."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

import bentofn
from bentofn.runtime.proxy import connect
from tests.unit.runtime.proxy.serving import Server, sockets, soon


@bentofn.service(name="abroad")
class Abroad:
    @bentofn.api
    def double(self, x: int) -> int:
        return 2 * x


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(Abroad)
    yield server
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_connections_are_kept_from_the_snapshot_point_on(server: Server) -> None:
    before = sockets()
    far = connect(None, server.url)
    client, async_client = far.to_sync.client, far.to_async.client  # as a constructor may keep them

    async def ask() -> int:
        return (await async_client.get("/readyz")).status_code

    assert far.to_sync.double(x=1) == 2
    assert client.get("/readyz").status_code == 200
    assert asyncio.run(ask()) == 200
    assert soon(lambda: sockets() == before)

    far.transport.close()
    assert far.to_sync.double(x=2) == 4
    assert client.get("/readyz").status_code == 200
    assert sockets() == before + 2  # the two ends of one
    far.transport.close()
    assert soon(lambda: sockets() == before)
    assert far.to_sync.double(x=3) == 6
    far.transport.close()
