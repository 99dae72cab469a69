"""One request through the platform: read, wait for an instance, forward, stream back."""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.adapters.local import cors
from bentofn.adapters.local.exchange import Exchange
from bentofn.adapters.local.front.request import Request, encoded
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.headers import (
    INSTANCE,
    START,
    request_headers,
    response_headers,
)
from bentofn.adapters.local.instance_connection import Answer
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.journal.request_ids import REQUEST_ID, request_id_of
from bentofn.adapters.local.replies import refusal_reply
from bentofn.adapters.local.tickets import Assignment, Refused
from bentofn.adapters.url import Cors
from bentofn.runtime.http.exchange import Header


async def answer(request: Request, function: Function, path: str, payload_limit: int) -> None:
    """Answer a request for a function.

    Args:
        request: The caller's request.
        function: A deployed function.
        path: Path and query that the function's service sees.
        payload_limit: Bytes that the body may hold.
    """
    url = function.deployment.spec.settings.url if function.deployment else None
    allowed = url.cors if url else None
    if allowed and cors.is_preflight(request.method, request.headers):
        headers = cors.preflight_headers(allowed, request.headers)
        await request.respond(204, encoded(headers), b"")
        return
    plain_path = path.partition("?")[0]
    record = Record(
        function.journal,
        function.name,
        request_id_of(request.headers),
        request.method,
        plain_path,
        request.content_length,
        request.headers,
    )
    forwarding = _Forwarding(request, function, path, allowed, record)
    try:
        asked = function.tasks.question(request.method, plain_path)
        if asked is not None:
            trace = record.trace_headers()
            replay = await function.tasks.answer(asked, request, payload_limit, trace)
            record.answered(replay.status)
            await forwarding.respond(replay.status, encoded(dict(replay.headers)), replay.body)
            return
        forwarding.body = await request.body(payload_limit)
        await forwarding.run()
    except Refused as refusal:
        await forwarding.refuse(refusal)
    finally:
        record.close()


class _Forwarding(Exchange):
    """A request that is answered in HTTP.

    Args:
        request: It.
        function: A deployed function.
        path: Path and query that the function's service sees.
        allowed: Who may read the answer, where the function's URL says.
        record: The request's in the journal.
    """

    def __init__(
        self, request: Request, function: Function, path: str, allowed: Cors | None, record: Record
    ) -> None:
        super().__init__(function, record)
        self.body = b""
        self._request = request
        self._path = path
        self._cors = allowed

    async def transfer(self, assignment: Assignment) -> None:
        """See :class:`Exchange`."""
        request, record = self._request, self.record
        theirs = request.headers
        headers = request_headers(theirs.pairs, request.peer, self.function.name, record)
        answer = await assignment.upstream.forward(request.method, self._path, headers, self.body)
        try:
            self.count(answer)
            self._check_size(answer)
            passed = response_headers(
                answer.headers, record.request_id, assignment, self._cors, theirs.get("Origin")
            )
            if answer.is_whole and request.method != "HEAD":
                body = answer.take()
                record.size = len(body)
                await request.respond(answer.status, passed, body)
            else:
                await self._stream(answer, passed)
            record.answered(answer.status)
        finally:
            answer.close()

    async def _stream(self, answer: Answer, headers: list[Header]) -> None:
        """Send an answer as it comes."""
        length = answer.header(b"content-length")
        if length:
            headers.append((b"content-length", length))
        await self._request.start(answer.status, headers)
        async for chunk in answer.chunks():
            self.record.size += len(chunk)
            await self._request.write(chunk)
        await self._request.write(b"", more=False)

    def _check_size(self, answer: Answer) -> None:
        """Refuse an answer that the backend would not pass on; of one that is streamed, none is."""
        profile = self.function.profile
        limit = profile.limits.response
        if limit is None:
            return
        size = answer.header(b"content-length")
        if size.isdigit() and int(size) > limit:
            raise Refused(
                500,
                f"The answer holds {int(size)} bytes; on {profile.name} it holds {limit} at most.",
            )

    async def cut(self, assignment: Assignment, refusal: Refused) -> None:
        """See :class:`Exchange`."""
        self.record.answered(refusal.status)
        if self._request.cycle.started:
            self._request.cycle.wire.transport.abort()
        else:
            await self.refuse(refusal, {START: assignment.start, INSTANCE: assignment.instance})

    async def refuse(self, refusal: Refused, headers: Mapping[str, str] | None = None) -> None:
        """Send the platform's answer."""
        self.record.refused(refusal.status, refusal.reason)
        reply = refusal_reply(refusal)
        kind = (b"content-type", reply.media_type.encode())
        await self.respond(
            reply.status, [kind, *reply.headers, *encoded(headers or {})], reply.body
        )

    async def respond(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send an answer of the platform's, and say in it whose it is and who may read it."""
        headers.append((REQUEST_ID.encode(), self.record.request_id.encode()))
        if self._cors:
            origin = self._request.headers.get("Origin")
            headers += encoded(cors.response_headers(self._cors, origin))
        await self._request.respond(status, headers, body)
