"""Which requests an instance that ends has not read, against a server that reads as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from bentofn.adapters.local.upstream import Unreachable, Upstream

BODY = b"x" * 5000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def upstream(
    *behave: Callable[[socket.socket], object], clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Upstream]:
    """An upstream whose server treats one connection after the other so, then closes it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "s"
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for each in behave:
                connection, _ = listener.accept()
                with connection:
                    each(connection)

        serving = asyncio.create_task(asyncio.to_thread(serve))
        made = Upstream(path, clock)
        try:
            yield made
            await asyncio.wait_for(serving, 60)
        finally:
            await made.close()


def unread(connection: socket.socket) -> None:
    connection.recv(1, socket.MSG_PEEK)


def read(connection: socket.socket) -> None:
    connection.recv(1 << 16)


def answer(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(ANSWER)


async def test_what_an_instance_did_not_read_may_be_sent_to_another() -> None:
    async with upstream(unread) as sends:
        with pytest.raises(Unreachable):
            await sends.send("POST", "/", {}, BODY)


@pytest.mark.parametrize("body", [b"", BODY])
async def test_what_an_instance_has_read_may_not(body: bytes) -> None:
    async with upstream(read) as sends:
        with pytest.raises(aiohttp.ClientError):
            await sends.send("POST", "/", {}, body)


async def test_of_a_large_request_it_is_not_known() -> None:
    async with upstream(read) as sends:
        with pytest.raises(aiohttp.ClientError):
            await sends.send("POST", "/", {}, b"x" * 1_000_000)


async def test_a_kept_connection_that_ends_under_a_request() -> None:
    def answer_then_leave_unread(connection: socket.socket) -> None:
        answer(connection)
        unread(connection)

    async with upstream(answer_then_leave_unread) as sends:
        assert await (await sends.send("POST", "/", {}, BODY)).read() == b"ok"
        with pytest.raises(Unreachable):
            await sends.send("POST", "/", {}, BODY)


async def test_a_kept_connection_that_has_ended_unnoticed() -> None:
    kept: list[socket.socket] = []

    def answer_and_keep(connection: socket.socket) -> None:
        kept.append(connection.dup())
        answer(connection)

    async with upstream(answer_and_keep) as sends:
        assert await (await sends.send("POST", "/", {}, BODY)).read() == b"ok"
        kept[0].close()  # the event loop has no chance to learn it before the next line
        with pytest.raises(Unreachable):
            await sends.send("POST", "/", {}, BODY)


async def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    now, kept = [0.0], []

    def answer_and_stay(connection: socket.socket) -> None:
        kept.append(connection.dup())
        answer(connection)

    async with upstream(answer_and_stay, answer, clock=lambda: now[0]) as sends:
        assert await (await sends.send("POST", "/", {}, BODY)).read() == b"ok"
        # Its other end is closed after a while, perhaps just as the next request is sent.
        now[0] = 60.0
        sending = asyncio.wait_for(sends.send("POST", "/", {}, BODY), 30)
        assert await (await sending).read() == b"ok"
    kept[0].close()


def drawl(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(1 << 10):
            connection.sendall(b"x-%d: %s\r\n" % (number, b"x" * 8000))


async def test_a_head_without_end_is_no_answer() -> None:
    async with upstream(drawl) as made:
        with pytest.raises(aiohttp.ClientError, match="a head of more than"):
            await made.send("GET", "/", {}, b"")
