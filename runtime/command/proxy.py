"""Starts the server of a service with a command, and hands requests over to it.

Source: ``_bentoml_impl/server/proxy.py`` of BentoML 1.4.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import string
from collections.abc import AsyncIterator, Sequence
from typing import Any

from bentofn.runtime.command.client import Upstream, UpstreamError
from bentofn.runtime.current import server_context
from bentofn.runtime.errors import UserError
from bentofn.runtime.http.exchange import (
    ClientLeftError,
    Exchange,
    Header,
    Receive,
    Scope,
    Send,
    text_reply,
)
from bentofn.runtime.http.interrupt import WhileConnected
from bentofn.runtime.lifeline import die_with_parent
from bentofn.runtime.service import Service

logger = logging.getLogger("bentofn.server")

DEFAULT_PORT = 8000
"""BentoML's default of ``http.proxy_port``."""

DEFAULT_HEALTH = "/health"
"""BentoML's default of ``endpoints.livez`` for a command."""

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding "
    b"upgrade expect host".split()
)
"""Headers of one connection (RFC 9110, section 7.6.1), and what is answered already."""

_TERMINATION = 30.0
"""Seconds that the server gets to end."""

_UNAVAILABLE = text_reply(503, "Upstream service unavailable.")


class CommandProxy:
    """An ASGI application that a server of the user's answers for.

    Args:
        service: The service, for its configuration.
        instance: Its instance, which may have a ``__command__``.
    """

    def __init__(self, service: Service[Any], instance: object) -> None:
        config = service.config
        endpoints = config.get("endpoints", {})
        self._service = service
        self._instance = instance
        self._liveness: str = endpoints.get("livez", DEFAULT_HEALTH)
        self._readiness: str = endpoints.get("readyz", self._liveness)
        self._upstream = Upstream(config.get("http", {}).get("proxy_port", DEFAULT_PORT))
        self._server = f"BentoFN Service/{service.name}".encode("latin-1", "replace")
        self._is_ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request over."""
        exchange = Exchange(scope, receive, send, self._server)
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        try:
            await self._forward(exchange)
        except UpstreamError as error:
            logger.error("The server of %s failed: %s", self._service.name, error)
            if exchange.started:
                raise
            await exchange.reply(_UNAVAILABLE)

    async def is_ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return await self._upstream.status_of(self._readiness) < 400
        except UpstreamError:
            return False

    @contextlib.asynccontextmanager
    async def lifespan(self, limit: int | None) -> AsyncIterator[None]:
        """Run the server, which is healthy when this is entered.

        Raises:
            UserError: It ended before it was healthy, or has no such health endpoint.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._upstream.close)
            process = await stack.enter_async_context(self._process()) if self._starts() else None
            await self._until_healthy(process)
            state = self._service.context.state
            state["proc"] = process
            client = _httpx_client(self._upstream.port)
            if client is not None:
                state["client"] = await stack.enter_async_context(client)
            if process is not None:
                watch = asyncio.ensure_future(self._watch(process))
                stack.callback(watch.cancel)
            yield

    def _starts(self) -> bool:
        """Whether this worker runs the command; known once it is one, which may be a copy."""
        is_first = server_context.worker_index in (None, 1)
        return is_first or bool(self._service.config.get("replicate_process", False))

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        command = await self._command()
        if await self._upstream.listens():
            raise UserError(
                f"Port {self._upstream.port}, where {self._service.name} expects the server of its "
                "command, is in use by another process; end that one, or have the command take "
                "another port and name it as http={'proxy_port': ...}."
            )
        logger.info("%s runs %s", self._service.name, " ".join(command))
        try:
            # In a session of its own: Ctrl-C is for this process, which ends the server in order.
            process = await asyncio.create_subprocess_exec(
                *command, start_new_session=True, preexec_fn=die_with_parent
            )
        except OSError as error:
            raise UserError(
                f"The command of {self._service.name} cannot be run: {command[0]}: "
                f"{error.strerror}."
            ) from None
        try:
            yield process
        finally:
            self._is_ending = True
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _TERMINATION)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()

    async def _command(self) -> Sequence[str]:
        own = getattr(self._instance, "__command__", None)
        said = self._service.cmd if own is None else own()
        if inspect.isawaitable(said):
            said = await said
        if not said or not all(isinstance(part, str) for part in said):
            raise UserError(
                f"The command of {self._service.name} must be a list of strings, not {said!r}."
            )
        try:
            return [string.Template(part).substitute(os.environ) for part in said]
        except KeyError as error:
            raise UserError(
                f"The command of {self._service.name} needs the environment variable "
                f"{error.args[0]}; set it."
            ) from None
        except ValueError:
            raise UserError(
                f"The command of {self._service.name} holds a $ that names no variable; "
                "write $$ for the sign itself."
            ) from None

    async def _until_healthy(self, process: asyncio.subprocess.Process | None) -> None:
        pause = 0.02
        while process is None or process.returncode is None:
            with contextlib.suppress(UpstreamError):
                status = await self._upstream.status_of(self._liveness)
                if status == 404:
                    raise UserError(
                        f"The server of {self._service.name} has no {self._liveness} (404); name "
                        "the path that says its health as endpoints={'livez': ...}."
                    )
                if status < 400:
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        raise UserError(
            f"The command of {self._service.name} ended with status {process.returncode} before "
            "its server was healthy; its own output says why."
        )

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """End with the server: another instance may start it anew."""
        status = await process.wait()
        if not self._is_ending:
            logger.error(
                "The server of %s ended with status %s, and so does this instance",
                self._service.name,
                status,
            )
            os.kill(os.getpid(), signal.SIGTERM)

    async def _forward(self, exchange: Exchange) -> None:
        scope = exchange.scope
        headers = [self._upstream.host, *_end_to_end(scope["headers"])]
        is_framed = any(name == b"content-length" for name, _ in headers)
        first = await exchange.receive()
        if first["type"] == "http.disconnect":
            raise ClientLeftError
        has_body = bool(first.get("body")) or first.get("more_body", False)
        if has_body and not is_framed:
            headers.append((b"transfer-encoding", b"chunked"))
        connection = await self._upstream.connect()
        try:
            body = _body(exchange, first)
            response = await connection.send(scope["method"], _target(scope), headers, body)
            with WhileConnected(exchange):
                await exchange.relay(
                    {
                        "type": "http.response.start",
                        "status": response.status_code,
                        "headers": _end_to_end(response.headers),
                    }
                )
                async for chunk in connection.chunks():
                    piece = {"type": "http.response.body", "body": chunk, "more_body": True}
                    await exchange.relay(piece)
            await exchange.relay({"type": "http.response.body", "body": b""})
        finally:
            self._upstream.give_back(connection)


async def _body(exchange: Exchange, message: Any) -> AsyncIterator[bytes]:
    while True:
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
        message = await exchange.receive()


def _target(scope: Scope) -> bytes:
    """Path and query as the client wrote them, without the path that the service stands below."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].removeprefix(scope.get("root_path", "").encode()) or b"/"
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query else path


def _end_to_end(headers: Sequence[Header]) -> list[Header]:
    """The headers that are meant for the other end, names in lower case."""
    pairs = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    named = {
        each.strip().lower()
        for name, value in pairs
        if name == b"connection"
        for each in value.split(b",")
    }
    return [pair for pair in pairs if pair[0] not in _HOP_BY_HOP and pair[0] not in named]


def _httpx_client(port: int) -> Any:
    """BentoML's ``context.state["client"]``, which old services use; None without httpx."""
    try:
        import httpx
    except ImportError:
        return None
    return httpx.AsyncClient(base_url=f"http://localhost:{port}", timeout=None)
