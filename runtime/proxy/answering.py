"""Answering a call from another service of the same bento: values go in and out as they are."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from bentofn.runtime.context import EXAMPLE, Context
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http import batch_headers
from bentofn.runtime.http.calls import chunks_of, is_stream
from bentofn.runtime.http.errors import reply_to
from bentofn.runtime.http.exchange import ClientLeftError, Exchange, Header, Reply
from bentofn.runtime.http.interrupt import DeadlineExceededError, WhileConnected
from bentofn.runtime.proxy import wire
from bentofn.runtime.proxy.addresses import EXAMPLE_HEADER
from bentofn.runtime.proxy.arguments import checked

if TYPE_CHECKING:
    from bentofn.runtime.http.endpoint import Endpoint

logger = logging.getLogger("bentofn.server")

_END = object()


async def answer_sibling(endpoint: Endpoint, exchange: Exchange) -> None:
    """Answer one call; an exception goes back as it is, for the caller to raise.

    Args:
        endpoint: What is called.
        exchange: The request, which is known to come from the same bento.

    Raises:
        ClientLeftError, DeadlineExceededError: It cannot be answered.
    """
    scope = exchange.scope
    if any(name == EXAMPLE_HEADER.encode() for name, _ in scope["headers"]):
        scope = {**scope, "extensions": {**scope.get("extensions", {}), EXAMPLE: {}}}
    context = Context(scope, b"", endpoint.state, exchange.request_id)
    try:
        await _answer(endpoint, exchange, context)
    except (ClientLeftError, DeadlineExceededError):
        raise
    except Exception as error:
        if exchange.started:
            raise
        status = _status(endpoint, exchange, error)
        await exchange.reply(_reply(status, wire.pack_error(error, status)))
    finally:
        context.close()


async def _answer(endpoint: Endpoint, exchange: Exchange, context: Context) -> None:
    values = wire.unpack(await exchange.body())
    result, batch = await endpoint.call(exchange, checked(endpoint.spec, values, context), context)
    if is_stream(result.__class__):
        await _stream(endpoint, exchange, result)
    else:
        if isinstance(result, PurePath) and context.owns(result):
            data = await asyncio.to_thread(Path(result).read_bytes)
            result = wire.SentFile(result.name, data)
        headers = batch_headers.about(batch, exchange)
        await exchange.reply(_reply(200, wire.pack(result), headers))
    if context.answered is not None:
        await context.answered.run_background()


async def _stream(endpoint: Endpoint, exchange: Exchange, stream: Any) -> None:
    with WhileConnected(exchange):
        async with aclosing(chunks_of(stream, endpoint.workers)) as chunks:
            # An error before the first chunk is an error of the call.
            item = await anext(chunks, _END)
            await exchange.start(200, wire.STREAM_TYPE)
            try:
                while item is not _END:
                    await _send(exchange, wire.frame(wire.ITEM, wire.pack(item)))
                    item = await anext(chunks, _END)
            except Exception as error:
                status = _status(endpoint, exchange, error)
                await _send(exchange, wire.frame(wire.ERROR, wire.pack_error(error, status)))
    await exchange.send({"type": "http.response.body", "body": b""})


async def _send(exchange: Exchange, data: bytes) -> None:
    await exchange.send({"type": "http.response.body", "body": data, "more_body": True})
    # A generator that awaits nothing would keep the loop from noticing that the caller has left.
    await asyncio.sleep(0)


def _reply(
    status: int, message: list[bytes | memoryview], headers: tuple[Header, ...] = ()
) -> Reply:
    return Reply(status, b"".join(message), wire.MEDIA_TYPE, headers)


def _status(endpoint: Endpoint, exchange: Exchange, error: Exception) -> int:
    """The HTTP status of an exception, for the metrics; what is no refusal is logged."""
    status = reply_to(error).status
    if not isinstance(error, BentoMLException) or status >= 500:
        location = endpoint.spec.method.location
        logger.error("%s failed (request %s)", location, exchange.request_id, exc_info=error)
    return status
