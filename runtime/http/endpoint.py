"""One endpoint of an instance: reads a request, calls the method, sends the response."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from contextlib import aclosing
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic_core import ValidationError

from bentofn.runtime.batching import BatchDispatcher, BatchReport, BatchResult, InFlight
from bentofn.runtime.context import Context, current_context
from bentofn.runtime.http import batch_headers
from bentofn.runtime.http.calls import caller, chunks_of, is_stream
from bentofn.runtime.http.errors import (
    UNSUPPORTED_MEDIA_TYPE,
    WrongResultError,
    invalid,
    unsupported,
)
from bentofn.runtime.http.exchange import Exchange, Receive, Reply
from bentofn.runtime.http.first_request import timed
from bentofn.runtime.http.interrupt import WhileConnected
from bentofn.runtime.http.negotiate import asked_for
from bentofn.runtime.http.said import NOTHING, said_of
from bentofn.runtime.io import binary
from bentofn.runtime.io.inputs import Arguments
from bentofn.runtime.io.outputs import FILE, Body
from bentofn.runtime.io.spec import EndpointSpec
from bentofn.runtime.proxy import addresses
from bentofn.runtime.tasks.stopping import stoppable
from bentofn.runtime.workers import Workers

T = TypeVar("T")

_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"
_PICKLE = "application/vnd.bentoml+pickle"
_END = object()

_ASYNC_BATCHES = (4, 16)
"""Batches of an async method that run at the same time: at first, and at most."""


class Endpoint:
    """One endpoint of an instance.

    Args:
        spec: What it takes and returns.
        instance: The service's instance.
        state: The instance's ``Context.state``.
    """

    def __init__(self, spec: EndpointSpec, instance: object, state: dict[str, Any]) -> None:
        self.spec = spec
        bound = getattr(instance, spec.method.name)
        self._bound = stoppable(bound) if spec.method.is_task else bound
        self.state = state
        if (
            spec.signature.context is not None
            or spec.input.takes_files
            or spec.output.media_type == FILE
        ):
            _uploads()

    def open(self, workers: Workers, threads: int, on_batch: Callable[[BatchReport], None]) -> None:
        """Get ready to answer; needs a running loop.

        Args:
            workers: Run sync methods.
            threads: Their number.
            on_batch: Told of each batch that ended.
        """
        method = self.spec.method
        self.workers = workers
        self._call = timed(caller(self._bound, workers), f"call {method.name}")
        self._batches: BatchDispatcher | None = None
        if method.batchable:
            is_async = inspect.iscoroutinefunction(self._bound)
            self._batches = BatchDispatcher(
                self._call_batch,
                max_batch_size=method.max_batch_size,
                max_latency=method.max_latency_ms / 1000,
                batch_dim=method.batch_dim,
                in_flight=InFlight(*_ASYNC_BATCHES) if is_async else InFlight(threads),
                on_batch=on_batch,
            )

    async def close(self) -> None:
        """Reject what waits for a batch, and wait for the batches that run."""
        if self._batches is not None:
            await self._batches.close()

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request.

        Raises:
            Exception: Whatever the method raised; ClientLeftError when the client left.
        """
        media_type = exchange.content_type.partition(";")[0].strip().lower()
        if media_type == addresses.MEDIA_TYPE and addresses.is_sibling(exchange.scope):
            from bentofn.runtime.proxy.answering import answer_sibling  # few are asked so

            await answer_sibling(self, exchange)
        elif media_type in (_PICKLE, addresses.MEDIA_TYPE):
            await exchange.reply(UNSUPPORTED_MEDIA_TYPE)
        elif media_type == _MULTIPART:
            await self._answer_form(exchange, exchange.read)
        elif media_type in binary.MEDIA_TYPES:
            await self._answer_arrays(exchange, media_type)
        else:
            body = await exchange.body()
            # curl -d labels whatever it sends as a form.
            is_form = media_type == _URLENCODED and not self.spec.input.is_raw
            if is_form and not _is_json(body):
                await self._answer_form(exchange, body)
            else:
                await self._answer_body(exchange, body)

    async def _answer_arrays(self, exchange: Exchange, media_type: str) -> None:
        taken = self.spec.input.binary
        if media_type not in taken:
            await exchange.reply(unsupported(media_type, taken))
            return
        body = await exchange.buffer()
        context = Context(exchange.scope, body, self.state, exchange.request_id)
        try:
            arguments = self.spec.input.from_arrays(body, media_type, context)
        except ValidationError as error:
            await exchange.reply(invalid(error))
        else:
            await self._answer_call(exchange, arguments, context)
        finally:
            context.close()

    async def _answer_body(self, exchange: Exchange, body: bytes) -> None:
        context = Context(exchange.scope, body, self.state, exchange.request_id)
        try:
            source = self.spec.input
            if source.takes_files:
                # Copying an upload or decoding an image takes long enough to hold up all others.
                read = partial(source.from_body, body, exchange.content_type, context)
                arguments = await asyncio.to_thread(read)
            else:
                arguments = source.from_body(body, exchange.content_type, context)
        except ValidationError as error:
            await exchange.reply(invalid(error))
        else:
            await self._answer_call(exchange, arguments, context)
        finally:
            context.close()

    async def _answer_form(self, exchange: Exchange, source: bytes | Receive) -> None:
        context = Context(exchange.scope, source, self.state, exchange.request_id)
        request = context.request
        try:
            form = await _uploads().read_form(request)
            read = partial(self.spec.input.from_form, form, context)
            arguments = await asyncio.to_thread(read) if self.spec.input.takes_files else read()
        except ValidationError as error:
            await exchange.reply(invalid(error))
        else:
            await self._answer_call(exchange, arguments, context)
        finally:
            await request.close()
            context.close()

    async def _answer_call(
        self, exchange: Exchange, arguments: Arguments, context: Context
    ) -> None:
        result, batch = await self.call(exchange, arguments, context)
        await self._respond(exchange, result, batch, context)
        if context.answered is not None:
            await context.answered.run_background()

    async def call(
        self, exchange: Exchange, arguments: Arguments, context: Context
    ) -> tuple[Any, BatchResult | None]:
        """Call the method for a request, alone or in a batch.

        Returns:
            The result, and what is known of the batch that gave it; None where there is no batch.

        Raises:
            Exception: Whatever the method raised; ClientLeftError when the client left.
        """
        current_context.set(context)
        positional, named = arguments
        if self._batches is not None:
            value = (*positional, *named.values())[0]
            batch = await self._batches.submit(value, context, exchange.until_left)
            return batch.value, batch
        return await self._call(*positional, **named, **self._context_argument(context)), None

    async def _call_batch(self, value: Any, latest: Context) -> Any:
        # A batch has many callers and the method takes one context: as in BentoML, the latest's.
        current_context.set(latest)
        context = self._context_argument(latest)
        if self.spec.signature.is_root:
            return await self._call(value, **context)
        return await self._call(**{self.spec.signature.parameters[0].name: value}, **context)

    def _context_argument(self, context: Context) -> dict[str, Any]:
        name = self.spec.signature.context
        return {} if name is None else {name: context}

    async def _respond(
        self, exchange: Exchange, result: Any, batch: BatchResult | None, context: Context
    ) -> None:
        if not _is_plain(result.__class__):
            if is_stream(result.__class__):
                await self._stream(exchange, result, context)
            else:
                await result(exchange.scope, exchange.receive, exchange.send)
            return
        body = _checked(self._encoder(exchange), result)
        head = NOTHING if context.answered is None else said_of(context.answered)
        media_type = head.media_type or body.media_type
        told = batch_headers.about(batch, exchange)
        headers = (*told, *head.headers)
        if isinstance(body.content, Path):
            await _uploads().send_file(exchange, body.content, head.status, media_type, headers)
        else:
            fields = batch_headers.own_fields(media_type, told) if head is NOTHING else None
            await exchange.reply(Reply(head.status, body.content, media_type, headers, fields))

    def _encoder(self, exchange: Exchange) -> Callable[[Any], Body]:
        """What writes a result as its caller asks for it."""
        output = self.spec.output
        if output.encode_arrays is None:
            return output.encode
        wanted = asked_for(exchange.scope["headers"], output.binary)
        return output.encode if wanted is None else partial(output.encode_arrays, wanted)

    async def _stream(self, exchange: Exchange, stream: Any, context: Context) -> None:
        encode = partial(_checked, self.spec.output.encode_chunk)
        with WhileConnected(exchange):
            async with aclosing(chunks_of(stream, self.workers)) as chunks:
                # An error before the first chunk can still become an HTTP error, and what the
                # generator says about the response before it can still be sent.
                first = await anext(chunks, _END)
                data = b"" if first is _END else encode(first)
                head = NOTHING if context.answered is None else said_of(context.answered)
                media_type = head.media_type or self.spec.output.media_type
                await exchange.start(head.status, media_type, head.headers)
                if first is not _END:
                    await _send_chunk(exchange, data)
                async for chunk in chunks:
                    await _send_chunk(exchange, encode(chunk))
                    # A generator that waits for nothing would keep the loop from everybody else,
                    # and from learning that its client has left.
                    await asyncio.sleep(0)
        await exchange.send({"type": "http.response.body", "body": b""})


def _checked(encode: Callable[[Any], T], result: Any) -> T:
    try:
        return encode(result)
    except ValidationError as error:
        raise WrongResultError(error) from None


async def _send_chunk(exchange: Exchange, data: bytes) -> None:
    await exchange.send({"type": "http.response.body", "body": data, "more_body": True})


def _uploads() -> ModuleType:
    from bentofn.runtime.http import uploads

    return uploads


@lru_cache(maxsize=64)
def _is_plain(kind: type) -> bool:
    """Whether results of a type are neither a stream nor a response of their own."""
    responses = sys.modules.get("starlette.responses")
    is_response = responses is not None and issubclass(kind, responses.Response)
    return not (is_response or is_stream(kind))


def _is_json(body: bytes) -> bool:
    """Whether a body labelled as a form is JSON.

    A form's keys are percent-encoded, so that none starts with a brace or a bracket.
    """
    return body.lstrip()[:1] in (b"{", b"[")
