"""A process that sleeps is told what to be next."""

from __future__ import annotations

import asyncio
import socket
import threading

from bentofn.adapters.local.engines.checkpointed.sleeper import Sleeper
from bentofn.adapters.local.isolation.policy import Tenancy
from bentofn.runtime.protocol import Channel, Restore


async def told(number: int) -> object:
    wire, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    wire.setblocking(False)
    heard = []

    def process() -> None:
        channel = Channel(remote.detach())
        heard.append(channel.receive())
        channel.close()  # at once, before who told it has done so

    listening = threading.Thread(target=process)
    listening.start()
    exit_ = asyncio.get_running_loop().create_future()
    sleeper = Sleeper("i", 0, exit_, wire, Tenancy(None), (), 0)
    await sleeper.tell(Restore("instance", f"i{number}", 1, {}), [])
    listening.join()
    return heard[0]


def test_one_that_listens_no_more_once_it_has_heard_was_told() -> None:
    async def often() -> None:
        for number in range(100):
            assert await told(number) == [Restore("instance", f"i{number}", 1, {})]

    asyncio.run(often())
