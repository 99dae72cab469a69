"""Answers that are passed on while a function writes them.

Where one is cut short, frames end with the error, and a URL's response with its connection: its
status was sent long before.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from multidict import CIMultiDict

from bentofn.adapters.local.lambda_.api import eventstream
from bentofn.adapters.local.lambda_.api.answers import (
    INTEGRATION,
    PRELUDE_END,
    Answer,
    NoAnswer,
    streamed,
)
from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.invoker import Invoker, Ran
from bentofn.adapters.local.lambda_.api.names import Name
from bentofn.adapters.local.lambda_.api.trace import HEADER
from bentofn.adapters.local.lambda_.invocation import Invocation
from bentofn.adapters.local.lambda_.streaming import ResponseStream

_LONGEST_PRELUDE = 1 << 20
"""[own] Bytes before the end of a prelude."""


async def stream_frames(
    invoker: Invoker, name: Name, invocation: Invocation, request: web.BaseRequest
) -> web.StreamResponse:
    """Answer ``InvokeWithResponseStream``.

    Args:
        invoker: Runs functions.
        name: The function, version or alias.
        invocation: What to run it with.
        request: The caller's.

    Raises:
        LambdaError: The function was not run.
    """
    stream, version = ResponseStream(), invoker.choose(name)
    ran = invoker.begin(version, dataclasses.replace(invocation, stream=stream))
    try:
        whole = b""
        if not await stream.begins():
            result = (await asyncio.shield(ran)).result
            stream.content_type = result.content_type
            whole = result.payload if result.function_error is None else b""
        response = web.StreamResponse(
            headers={
                "Content-Type": eventstream.CONTENT_TYPE,
                "X-Amzn-Remapped-Content-Type": stream.content_type,
                "X-Amz-Executed-Version": version.qualifier or "",
                "x-amzn-RequestId": invocation.request_id,
                HEADER: invocation.trace_id or "",
            }
        )
        await response.prepare(request)
        for frame in _chunks(whole):
            await response.write(frame)
        async for piece in stream.pieces():
            for frame in _chunks(piece):
                await response.write(frame)
        await response.write(await _end(ran, tail=invocation.log_tail))
        await response.write_eof()
        return response
    finally:
        stream.abandon()


async def stream_body(
    invoker: Invoker,
    name: Name,
    invocation: Invocation,
    request: web.BaseRequest,
    dress: Callable[[web.StreamResponse], None],
) -> web.StreamResponse | Ran:
    """Answer a function URL's request; what a function did not stream is the caller's to answer.

    Args:
        invoker: Runs functions.
        name: The function, version or alias.
        invocation: What to run it with.
        request: The caller's.
        dress: Gives a response the headers that all have.

    Raises:
        LambdaError: The function was not run.
        NoAnswer: Its prelude is none.
    """
    stream = ResponseStream()
    ran = invoker.begin(name, dataclasses.replace(invocation, stream=stream))
    try:
        if not await stream.begins():
            return await asyncio.shield(ran)
        pieces = stream.pieces()
        answer = await _head(pieces, stream.content_type)
        headers = CIMultiDict(answer.headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        dress(response)
        await response.prepare(request)
        await response.write(answer.body)
        async for piece in pieces:
            await response.write(piece)
        if await _succeeded(ran):
            await response.write_eof()
        elif request.transport is not None:
            request.transport.abort()
        return response
    finally:
        stream.abandon()


async def _head(pieces: AsyncIterator[bytes], content_type: str) -> Answer:
    """A response's status and headers, with what of the body came together with them."""
    start = b""
    if content_type.partition(";")[0].strip().lower() == INTEGRATION:
        async for piece in pieces:
            start += piece
            if PRELUDE_END in start:
                break
            if len(start) > _LONGEST_PRELUDE:
                raise NoAnswer("The prelude has no end.")
    return streamed(start, content_type)


async def _succeeded(ran: asyncio.Task[Ran]) -> bool:
    try:
        return (await asyncio.shield(ran)).result.function_error is None
    except LambdaError:
        return False


def _chunks(piece: bytes) -> list[bytes]:
    largest = eventstream.LARGEST_PIECE
    return [
        eventstream.frame("PayloadChunk", "application/octet-stream", piece[at : at + largest])
        for at in range(0, len(piece), largest)
    ]


async def _end(ran: asyncio.Task[Ran], *, tail: bool) -> bytes:
    """The last frame."""
    complete: dict[str, str] = {}
    try:
        result = (await asyncio.shield(ran)).result
    except LambdaError as error:
        complete |= {"ErrorCode": error.type, "ErrorDetails": error.message}
    else:
        if result.function_error is not None:
            details = result.payload.decode(errors="replace")
            complete |= {"ErrorCode": result.function_error, "ErrorDetails": details}
        if tail:
            complete["LogResult"] = base64.b64encode(result.log_tail).decode()
    return eventstream.frame("InvokeComplete", "application/json", json.dumps(complete).encode())
