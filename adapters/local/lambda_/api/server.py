"""The Invoke API: what an AWS SDK speaks with ``endpoint_url`` at the platform's root."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bentofn.adapters.local.console.guard import is_local
from bentofn.adapters.local.core.profile import LimitTable
from bentofn.adapters.local.lambda_.api import documents
from bentofn.adapters.local.lambda_.api.asynchronous import Asynchronous
from bentofn.adapters.local.lambda_.api.errors import LambdaError, too_large
from bentofn.adapters.local.lambda_.api.invoker import Invoker, Ran
from bentofn.adapters.local.lambda_.api.management import Management
from bentofn.adapters.local.lambda_.api.names import Name, parse
from bentofn.adapters.local.lambda_.api.routes import call_of
from bentofn.adapters.local.lambda_.api.signature import Unsigned
from bentofn.adapters.local.lambda_.api.signed import signer_of
from bentofn.adapters.local.lambda_.api.store import Message
from bentofn.adapters.local.lambda_.api.streams import stream_frames
from bentofn.adapters.local.lambda_.api.trace import HEADER, trace_of
from bentofn.adapters.local.lambda_.invocation import Invocation
from bentofn.adapters.local.replies import read_body
from bentofn.adapters.local.tickets import Refused

_BROWSERS = ("Origin", "Sec-Fetch-Site")
"""Headers that browsers send and SDKs do not."""
_LONGEST_CONTEXT = 3583
_LONGEST_DOCUMENT = 1 << 20
_JSON = re.compile(r"application/(.+\+)?(json|octet-stream|x-amz-json-1\.\d|x-www-form-urlencoded)")
_STATUS = {"create_alias": 201, "publish_version": 201}


class InvokeApi:
    """Answers the calls of an SDK.

    Args:
        invoker: Runs functions.
        asynchronous: Takes what need not be answered.
        management: Answers what is no invocation.
        limits: The sizes of payloads.
        secrets: Access key to secret, of those who may read the functions' environment.
    """

    def __init__(
        self,
        invoker: Invoker,
        asynchronous: Asynchronous,
        management: Management,
        limits: LimitTable,
        secrets: Mapping[str, str],
    ) -> None:
        self._limits = limits
        self._secrets = secrets
        self._invoker = invoker
        self._asynchronous = asynchronous
        self._management = management

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request whose path begins as :data:`routes.PREFIX` says."""
        id = str(uuid.uuid4())
        response: web.StreamResponse
        try:
            response = await self._answer(request, id)
        except LambdaError as error:
            response = web.Response(
                status=error.status, body=error.body(), content_type="application/json"
            )
            response.headers["x-amzn-ErrorType"] = error.type
        response.headers["x-amzn-RequestId"] = id
        return response

    async def _answer(self, request: web.BaseRequest, id: str) -> web.StreamResponse:
        if any(name in request.headers for name in _BROWSERS) or not is_local(request.host):
            # A page of anybody's may not manage functions, nor under a name that leads here.
            message = "The Invoke API is not for web pages; call the function's URL."
            raise LambdaError(403, "AccessDeniedException", message)
        call = call_of(request.method, request.raw_path.partition("?")[0])
        if call is None:
            message = f"The local platform has no call {request.method} {request.path}."
            raise LambdaError(404, "UnknownOperationException", message)
        name = parse(call.parts[0], request.query.get("Qualifier")) if call.parts else None
        if name is not None and call.name.startswith("invoke"):
            return await self._invoke(call.name, name, request, id)
        document = await self._manage(call.name, name, call.parts[1:], request)
        if document is None:
            return web.Response(status=204)
        body = json.dumps(document).encode()
        status = _STATUS.get(call.name, 200)
        return web.Response(status=status, body=body, content_type="application/json")

    async def _manage(
        self, call: str, name: Name | None, parts: tuple[str, ...], request: web.BaseRequest
    ) -> dict[str, Any] | None:
        body = await _body(request)
        document = await self._described(call, name, parts, request.query, _document(body))
        try:
            signer_of(request, body, self._secrets)
        except Unsigned:
            hidden: dict[str, Any] | None = documents.without_secrets(document)
            return hidden
        return document

    async def _described(
        self,
        call: str,
        name: Name | None,
        parts: tuple[str, ...],
        query: Mapping[str, str],
        asked: Mapping[str, Any],
    ) -> dict[str, Any] | None:
        manage = self._management
        if name is None:
            match call:
                case "list_functions":
                    return await manage.list_functions()
                case _:
                    return await manage.account_settings()
        match call:
            case "list_aliases":
                return await manage.list_aliases(name, query.get("FunctionVersion"))
            case "get_alias":
                return await manage.get_alias(name, parts[0])
            case "update_alias":
                return await manage.update_alias(name, parts[0], asked)
            case "delete_alias":
                await manage.delete_alias(name, parts[0])
                return None
            case "create_alias":
                return await manage.create_alias(name, asked)
            case "publish_version":
                return await manage.publish_version(name, asked)
            case "put_concurrency":
                return await manage.put_concurrency(name, asked)
            case "put_event_config":
                return await manage.put_event_config(name, asked)
            case "update_event_config":
                return await manage.update_event_config(name, asked)
        plain = {
            "get_function": manage.get_function,
            "get_configuration": manage.get_configuration,
            "list_versions": manage.list_versions,
            "get_url": manage.get_url,
            "get_concurrency": manage.get_concurrency,
            "delete_concurrency": manage.delete_concurrency,
            "get_event_config": manage.get_event_config,
            "delete_event_config": manage.delete_event_config,
            "list_event_configs": manage.list_event_configs,
        }
        return await plain[call](name)

    async def _invoke(
        self, call: str, name: Name, request: web.BaseRequest, id: str
    ) -> web.StreamResponse:
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if call == "invoke_async":
            kind = "Event"
        if kind not in ("RequestResponse", "Event", "DryRun"):
            message = f"The invocation type {kind} is none."
            raise LambdaError(400, "InvalidParameterValueException", message)
        media = request.content_type if "Content-Type" in request.headers else "application/json"
        if not _JSON.fullmatch(media):
            message = "The content type of the Invoke request body is not JSON."
            raise LambdaError(415, "UnsupportedMediaTypeException", message)
        limits = self._limits
        limit = limits.asynchronous or limits.payload if kind == "Event" else limits.payload
        payload = await _payload(request, limit)
        context = _client_context(request.headers.get("X-Amz-Client-Context"))
        trace = trace_of(request.headers.get(HEADER))
        self._invoker.find(name)
        if kind == "DryRun":
            return web.Response(status=204)
        if kind == "Event":
            await self._asynchronous.accept(name, id, Message(payload, context, trace))
            return web.Response(status=202)
        tail = request.headers.get("X-Amz-Log-Type") == "Tail"
        invocation = Invocation(
            request_id=id,
            event=payload,
            deadline=0.0,
            client_context=context,
            trace_id=trace,
            log_tail=tail,
            qualifier=name.qualifier,
            headers=request.headers,
        )
        if call == "invoke_stream":
            return await stream_frames(self._invoker, name, invocation, request)
        ran = await self._invoker.call(name, invocation)
        response = _whole(ran, tail)
        response.headers["X-Amz-Executed-Version"] = ran.version
        response.headers[HEADER] = trace
        return response


def _whole(ran: Ran, tail: bool) -> web.Response:
    result = ran.result
    response = web.Response(body=result.payload, content_type="application/json")
    if result.function_error is not None:
        response.headers["X-Amz-Function-Error"] = result.function_error
    if tail:
        response.headers["X-Amz-Log-Result"] = base64.b64encode(result.log_tail).decode()
    return response


async def _payload(request: web.BaseRequest, limit: int) -> bytes:
    """The event, JSON.

    Raises:
        LambdaError: It is too large, or no JSON.
    """
    try:
        payload = await read_body(request, limit)
    except Refused as refusal:
        if refusal.status == 413:
            raise too_large(limit) from refusal
        raise LambdaError(400, "InvalidRequestContentException", refusal.reason) from refusal
    try:
        json.loads(payload.decode() or "{}", parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        message = (
            f"Could not parse request body into json: Could not parse payload into json: {error}"
        )
        raise LambdaError(400, "InvalidRequestContentException", message) from error
    return payload or b"{}"


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


async def _body(request: web.BaseRequest) -> bytes:
    try:
        return await read_body(request, _LONGEST_DOCUMENT)
    except Refused as refusal:
        raise _not_json(refusal.reason) from refusal


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise _not_json(str(error)) from error
    if not isinstance(document, dict):
        raise _not_json("it is no object.")
    return document


def _not_json(why: str) -> LambdaError:
    message = f"Could not parse request body into json: {why}"
    return LambdaError(400, "InvalidRequestContentException", message)


def _client_context(header: str | None) -> bytes | None:
    """What a caller says of itself.

    Raises:
        LambdaError: It is too long, or no JSON object in base64.
    """
    if header is None:
        return None
    try:
        context = base64.b64decode(header, validate=True)
        fits = isinstance(json.loads(context), dict) and len(header) <= _LONGEST_CONTEXT
    except (binascii.Error, ValueError, RecursionError):
        fits = False
    if not fits:
        message = "Client context must be a valid Base64-encoded JSON object."
        raise LambdaError(400, "InvalidRequestContentException", message)
    return context
