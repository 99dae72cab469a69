"""Function URLs: HTTP on one side, events of payload format 2.0 on the other.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping

from aiohttp import web
from multidict import CIMultiDict

from bentofn.adapters.local import cors
from bentofn.adapters.local.lambda_.api.answers import Answer, NoAnswer, buffered, streamed
from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.events import UrlRequest, event_of
from bentofn.adapters.local.lambda_.api.invoker import Invoker
from bentofn.adapters.local.lambda_.api.names import Name
from bentofn.adapters.local.lambda_.api.signature import Unsigned
from bentofn.adapters.local.lambda_.api.signed import signer_of
from bentofn.adapters.local.lambda_.api.streams import stream_body
from bentofn.adapters.local.lambda_.api.trace import HEADER, trace_of
from bentofn.adapters.local.lambda_.invocation import Invocation
from bentofn.adapters.local.replies import read_body
from bentofn.adapters.local.tickets import Refused
from bentofn.adapters.url import Url

_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


class FunctionUrls:
    """Answers requests for functions' URLs.

    Args:
        invoker: Runs functions.
        secrets: Access key to secret, of those who may call URLs with ``aws_iam``.
        limit: Bytes that an event may hold.
    """

    def __init__(self, invoker: Invoker, secrets: Mapping[str, str], limit: int) -> None:
        self._limit = limit
        self._invoker = invoker
        self._secrets = secrets

    async def answer(self, request: web.BaseRequest, name: Name, path: str) -> web.StreamResponse:
        """Answer a request.

        Args:
            request: The caller's request.
            name: The function, or one of its aliases.
            path: Path and query below the function's URL.
        """
        id, trace = str(uuid.uuid4()), trace_of(request.headers.get(HEADER))
        url: Url | None = None

        def dress(response: web.StreamResponse) -> None:
            _dress(response, request, url, id, trace)

        response: web.StreamResponse
        try:
            url = self._invoker.find(name).spec.settings.url
            response = await self._answer(request, name, path, url, id, trace, dress)
        except LambdaError as error:
            response = _failure(error)
        except Refused as refusal:
            message = "Request Entity Too Large" if refusal.status == 413 else "Bad Request"
            response = _message(refusal.status, message)
        if not response.prepared:
            dress(response)
        return response

    async def _answer(
        self,
        request: web.BaseRequest,
        name: Name,
        path: str,
        url: Url | None,
        id: str,
        trace: str,
        dress: Callable[[web.StreamResponse], None],
    ) -> web.StreamResponse:
        if url is None:
            return _message(403, None, "AccessDeniedException")
        if url.cors and cors.is_preflight(request.method, request.headers):
            headers = cors.preflight_headers(url.cors, request.headers)
            return web.Response(status=200, headers=headers)
        body = await read_body(request, self._limit)
        key: str | None = None
        if url.authorizer is not None:
            try:
                key = signer_of(request, body, self._secrets)
            except Unsigned as error:
                forbidden = error.type == "AccessDeniedException"
                return _message(403, _FORBIDDEN if forbidden else error.message, error.type)
        below, _, query = path.partition("?")
        event = event_of(
            UrlRequest(
                id=id,
                method=request.method,
                path=below,
                query=query,
                headers=tuple(request.headers.items()),
                body=body,
                host=request.host,
                source=request.remote or "127.0.0.1",
                time=time.time(),
                trace_id=trace,
                function=name.function,
                access_key=key,
            )
        )
        payload = json.dumps(event, separators=(",", ":")).encode()
        if len(payload) > self._limit:
            raise Refused(413, "The event is larger than 6 MB.")
        invocation = Invocation(
            id, payload, 0.0, trace_id=trace, qualifier=name.qualifier, headers=request.headers
        )
        try:
            if url.invoke_mode == "RESPONSE_STREAM":
                ran = await stream_body(self._invoker, name, invocation, request, dress)
                if isinstance(ran, web.StreamResponse):
                    return ran
                answer = streamed(ran.result.payload, ran.result.content_type)
            else:
                ran = await self._invoker.call(name, invocation)
                answer = buffered(ran.result.payload)
        except NoAnswer:
            return _bad_gateway()
        return _bad_gateway() if ran.result.function_error is not None else _response(answer)


def _dress(
    response: web.StreamResponse, request: web.BaseRequest, url: Url | None, id: str, trace: str
) -> None:
    """Give a response the headers that all have."""
    response.headers["x-amzn-RequestId"] = id
    response.headers[HEADER] = trace
    preflight = cors.is_preflight(request.method, request.headers)
    if url is not None and url.cors is not None and not preflight:
        for header in [n for n in response.headers if n.lower().startswith(cors.PREFIX)]:
            del response.headers[header]
        allowed = cors.response_headers(url.cors, request.headers.get("Origin"))
        response.headers.update(allowed)


def unknown() -> web.Response:
    """The answer of a URL that there is not."""
    return _message(403, None, "AccessDeniedException")


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=CIMultiDict(answer.headers))


def _message(status: int, message: str | None, type: str | None = None) -> web.Response:
    body = json.dumps({"Message": message}, separators=(",", ":")).encode()
    response = web.Response(status=status, body=body, content_type="application/json")
    if type is not None:
        response.headers["x-amzn-ErrorType"] = type
    return response


def _failure(error: LambdaError) -> web.Response:
    """An error of the Invoke API's as a URL tells it: nothing that is not its caller's affair."""
    if error.status == 404:
        return unknown()
    if error.status == 429:
        return _message(429, error.message, error.type)
    return _bad_gateway()


def _bad_gateway() -> web.Response:
    return web.Response(status=502, text="Internal Server Error")
