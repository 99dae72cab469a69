"""One request through the platform: read, wait for an instance, forward, stream back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from bentofn.adapters.local import cors
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.headers import (
    BATCH_SIZE,
    INSTANCE,
    START,
    request_headers,
    response_headers,
    take_batch_seconds,
)
from bentofn.adapters.local.instance_connection import Answer
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.journal.request_ids import (
    REQUEST_ID,
    request_id_of,
)
from bentofn.adapters.local.replies import read_body, refusal_response
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.tickets import Assignment, Refused, Ticket
from bentofn.adapters.local.upstream import Unreachable
from bentofn.adapters.local.websockets import (
    is_websocket,
    may_open,
    offered_protocols,
    relay,
    without_handshake,
)
from bentofn.adapters.url import Url

_ATTEMPTS = 3
"""Instances that a request is sent to when those before took no connection."""
_EXPLANATION = 3.0
"""Seconds that an answer waits for the reason for which its instance broke off."""


async def answer(
    request: web.BaseRequest, function: Function, path: str, payload_limit: int
) -> web.StreamResponse:
    """Answer a request for a function.

    Args:
        request: The caller's request.
        function: A deployed function.
        path: Path and query that the function's service sees.
        payload_limit: Bytes that the body may hold.
    """
    url = function.deployment.spec.settings.url if function.deployment else None
    if url and url.cors and cors.is_preflight(request.method, request.headers):
        return web.Response(status=204, headers=cors.preflight_headers(url.cors, request.headers))
    plain_path = path.partition("?")[0]
    record = Record(
        function.journal,
        function.name,
        request_id_of(request.headers),
        request.method,
        plain_path,
        request.content_length or 0,
        request.headers,
    )
    exchange = _Exchange(request, function, path, url, payload_limit, record)
    try:
        asked = function.tasks.question(request.method, plain_path)
        if asked is not None:
            trace = record.trace_headers()
            answered = await function.tasks.answer(asked, request, payload_limit, trace)
            record.answered(answered.status)
            return exchange.permit(answered)
        allowed = url.cors if url else None
        if is_websocket(request) and not may_open(request.headers, request.host, allowed):
            raise Refused(403, "The function's URL allows no page of this origin (url.cors).")
        body = await read_body(request, payload_limit)
        return await exchange.run(body)
    except Refused as refusal:
        return exchange.refuse(refusal)
    finally:
        record.close()


class _Exchange:
    """A request and what became of it."""

    def __init__(
        self,
        request: web.BaseRequest,
        function: Function,
        path: str,
        url: Url | None,
        payload_limit: int,
        record: Record,
    ) -> None:
        self._request = request
        self._record = record
        self._function = function
        self._path = path
        self._payload_limit = payload_limit
        self._cors = url.cors if url else None
        self._response: web.StreamResponse | None = None

    async def run(self, body: bytes) -> web.StreamResponse:
        for _ in range(_ATTEMPTS):
            revision = self._function.live
            if revision is None:
                raise Refused(503, self._function.trouble or "The function is being stopped.")
            response = await self._try(revision, body)
            if response is not None:
                return response
        raise Refused(502, "The function's instances end before they can be asked.")

    async def _try(self, revision: Revision, body: bytes) -> web.StreamResponse | None:
        """Ask one instance; None if it was dead already and has not seen the request."""
        ticket = revision.submit(self._record)
        cancelled = True
        try:
            assignment = await ticket.assigned
            try:
                response = await self._forward(revision, ticket, assignment, body)
            except Unreachable:
                revision.lost(assignment.instance)
                response = None
            cancelled = False
        finally:
            revision.release(ticket, cancelled=cancelled)
        return response

    async def _forward(
        self, revision: Revision, ticket: Ticket, assignment: Assignment, body: bytes
    ) -> web.StreamResponse:
        timeout = revision.spec.settings.timeout
        if is_websocket(self._request):
            transfer = asyncio.create_task(self._talk(assignment))
        else:
            transfer = asyncio.create_task(self._transfer(assignment, body))
        waiting: set[asyncio.Future[web.StreamResponse] | asyncio.Future[Refused]]
        waiting = {transfer, ticket.interrupted}
        try:
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if transfer.done():
                return transfer.result()
            if ticket.interrupted.done():
                return self._cut(assignment, ticket.interrupted.result())
            revision.timed_out(ticket)
            sentence = f"The function did not answer within its timeout of {timeout:g} s."
            return self._cut(assignment, Refused(504, sentence))
        except aiohttp.ClientError as error:
            # An instance that was killed is known to be dead a moment later, and of what.
            await asyncio.wait([ticket.interrupted], timeout=_EXPLANATION)
            if ticket.interrupted.done():
                return self._cut(assignment, ticket.interrupted.result())
            return self._cut(assignment, Refused(502, f"The instance broke off: {_say(error)}."))
        finally:
            transfer.cancel()

    async def _transfer(self, assignment: Assignment, body: bytes) -> web.StreamResponse:
        request = self._request
        upstream = await assignment.upstream.send(
            request.method,
            self._path,
            request_headers(self._request, self._function.name, self._record),
            body,
        )
        async with upstream:
            self._count(upstream.headers)
            self._check_size(upstream.headers)
            headers = response_headers(
                upstream.headers,
                self._record.request_id,
                assignment,
                self._cors,
                request.headers.get("Origin"),
            )
            if upstream.is_whole and request.method != "HEAD":
                return await self._send_whole(upstream, headers)
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            response.headers.extend(headers)
            await response.prepare(request)
            self._response = response
            async for chunk in upstream.chunks():
                self._record.size += len(chunk)
                await response.write(chunk)
            await response.write_eof()
            self._record.answered(upstream.status)
            return response

    def _check_size(self, headers: Mapping[str, str]) -> None:
        """Refuse an answer that the backend would not pass on; of one that is streamed, none is."""
        profile, size = self._function.profile, headers.get("Content-Length", "")
        limit = profile.limits.response
        if limit is not None and size.isdecimal() and int(size) > limit:
            raise Refused(
                500, f"The answer holds {size} bytes; on {profile.name} it holds {limit} at most."
            )

    async def _send_whole(self, answer: Answer, headers: CIMultiDict[str]) -> web.StreamResponse:
        """Send an answer whose body is all here: in one piece."""
        body = answer.take()
        response = web.Response(
            status=answer.status, reason=answer.reason, headers=headers, body=body
        )
        self._response = response
        await response.prepare(self._request)
        await response.write_eof()
        self._record.size = len(body)
        self._record.answered(answer.status)
        return response

    async def _talk(self, assignment: Assignment) -> web.StreamResponse:
        """Connect the caller's websocket with one of the instance's."""
        limit = self._payload_limit
        headers = without_handshake(
            request_headers(self._request, self._function.name, self._record)
        )
        offered = offered_protocols(self._request.headers)
        try:
            instance = await assignment.upstream.open_websocket(self._path, headers, offered, limit)
        except aiohttp.WSServerHandshakeError as error:
            self._count({})
            raise Refused(
                error.status if error.status >= 400 else 400,
                f"The function takes no websocket at this path (it answered {error.status}).",
            ) from None
        self._count({})
        async with instance:
            chosen = (instance.protocol,) if instance.protocol else ()
            caller = web.WebSocketResponse(protocols=chosen, max_msg_size=limit)
            caller.headers[REQUEST_ID] = self._record.request_id
            caller.headers[START] = assignment.start
            caller.headers[INSTANCE] = assignment.instance
            await caller.prepare(self._request)
            self._response = caller
            await relay(caller, instance)
            self._record.answered(caller.status)
            return caller

    def _cut(self, assignment: Assignment, refusal: Refused) -> web.StreamResponse:
        """End a request that its instance did not: with a status, or, too late, by breaking off."""
        self._record.answered(refusal.status)
        if self._response is None:
            response = self.refuse(refusal)
            response.headers[START] = assignment.start
            response.headers[INSTANCE] = assignment.instance
            return response
        if self._request.transport is not None:
            self._request.transport.abort()
        return self._response

    def refuse(self, refusal: Refused) -> web.Response:
        """The platform's answer."""
        self._record.refused(refusal.status, refusal.reason)
        return self.permit(refusal_response(refusal))

    def permit(self, response: web.Response) -> web.Response:
        """Say in an answer of the platform's whose it is and who may read it."""
        response.headers[REQUEST_ID] = self._record.request_id
        if self._cors:
            response.headers.update(
                cors.response_headers(self._cors, self._request.headers.get("Origin"))
            )
        return response

    def _count(self, headers: Mapping[str, str]) -> None:
        stats = self._function.stats
        stats.requests += 1
        size = headers.get(BATCH_SIZE, "")
        if size.isdecimal():
            self._record.batch_size = int(size)
            take_batch_seconds(self._record, headers)
            stats.largest_batch = max(stats.largest_batch, int(size))


def _say(error: Exception) -> str:
    return str(error) or type(error).__name__
