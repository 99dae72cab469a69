"""The ASGI application of a service's instance."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import ValidationError, to_json

from bentofn.runtime.errors import BentoMLException, UserError
from bentofn.runtime.hooks import Hook, marked
from bentofn.runtime.http.cors import with_cors
from bentofn.runtime.http.endpoint import Endpoint
from bentofn.runtime.http.errors import (
    NOT_FOUND,
    TOO_MANY_REQUESTS,
    faults,
    method_not_allowed,
    redirected,
    reply_to,
    timed_out,
)
from bentofn.runtime.http.exchange import (
    CLIENT_CLOSED_REQUEST,
    ClientLeftError,
    Exchange,
    Receive,
    Reply,
    Scope,
    Send,
    text_reply,
)
from bentofn.runtime.http.interrupt import Deadline, DeadlineExceededError
from bentofn.runtime.http.metrics import CONTENT_TYPE, Metrics
from bentofn.runtime.http.openapi import openapi_document, schema_document
from bentofn.runtime.io.spec import build_spec
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest
from bentofn.runtime.service import Service

logger = logging.getLogger("bentofn.server")

DEFAULT_TIMEOUT = 60.0
"""Seconds; BentoML's default of ``traffic.timeout``."""

_HEALTHY = text_reply(200, "\n")
_UNHEALTHY = text_reply(503, "\n")

Page = Callable[[], Awaitable[Reply]]


class ServiceApp:
    """The ASGI application of a service's instance.

    Making one reads every annotation and builds every schema, so that a request does not; it starts
    no thread and no loop and opens nothing, so that the process can be kept as a snapshot.

    Args:
        service: The service.
        instance: The instance that answers.
        threads: Threads that run sync methods, where the service does not say ``threads`` itself.

    Raises:
        UserError: An annotation cannot be served, or two endpoints have one route.
    """

    def __init__(self, service: Service[Any], instance: object, *, threads: int = 1) -> None:
        self.service = service
        self.instance = instance
        self.ready = False
        self._threads: int = service.config.get("threads", threads)
        traffic = service.config.get("traffic", {})
        self._timeout: float = traffic.get("timeout", DEFAULT_TIMEOUT)
        self._max_running: float = traffic.get("max_concurrency", math.inf)
        self._running = 0
        self._server = f"BentoFN Service/{service.name}".encode("latin-1", "replace")
        self._metrics: Metrics | None = None
        self._version = _version()
        state = service.context.state
        self._endpoints = [
            Endpoint(build_spec(method), instance, state) for method in service.apis.values()
        ]
        self.specs = [endpoint.spec for endpoint in self._endpoints]
        self._posts = self._routes()
        self._pages = self._page_table()
        self._http = with_cors(self._answer_http, service.config.get("http", {}).get("cors", {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def start(self, *, hooks: bool = True) -> None:
        """Get ready to answer, with all counters at zero.

        Args:
            hooks: Whether the service's ``on_startup`` methods run.
        """
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix=self.service.name)
        metrics = Metrics(
            self.service.name,
            self._version,
            self.service.config.get("metrics", {}),
            max((spec.method.max_batch_size for spec in self.specs), default=1),
        )
        self._metrics = metrics
        for endpoint in self._endpoints:
            count = partial(metrics.batch, endpoint.spec.method.name)
            endpoint.open(self._executor, self._threads, count)
        if hooks:
            await _run_all(marked(self.instance, "on_startup"))
        self.ready = True

    async def stop(self, *, hooks: bool = True) -> None:
        """Let what runs end, and give back every thread.

        Args:
            hooks: Whether the service's ``on_shutdown`` methods run.
        """
        self.ready = False
        for endpoint in self._endpoints:
            await endpoint.close()
        if hooks:
            await _run_all(marked(self.instance, "on_shutdown"))
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._metrics = None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:
            logger.exception("The service %s could not start", self.service.name)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._server)
        # An application that mounts this one leaves the mount's path in front.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        method = scope["method"]
        if method == "POST" and path in self._posts:
            await self._answer_api(self._posts[path], exchange)
        elif method in ("GET", "HEAD") and path in self._pages:
            await self._answer_page(self._pages[path], exchange)
        elif path in self._posts or path in self._pages:
            allowed = ["POST"] * (path in self._posts) + ["GET", "HEAD"] * (path in self._pages)
            await exchange.reply(method_not_allowed(", ".join(allowed)))
        else:
            other = path[:-1] if path.endswith("/") else f"{path}/"
            known = other in self._posts or other in self._pages
            await exchange.reply(redirected(scope) if known else NOT_FOUND)

    async def _answer_page(self, page: Page, exchange: Exchange) -> None:
        try:
            reply = await page()
        except Exception:
            reply = self._failed(exchange, exchange.scope["path"])
        await exchange.reply(reply)

    async def _answer_api(self, endpoint: Endpoint, exchange: Exchange) -> None:
        metrics = self._metrics
        if metrics is None:
            await exchange.reply(_UNHEALTHY)
            return
        if self._running >= self._max_running:
            await exchange.reply(TOO_MANY_REQUESTS)
            return
        route = self.service.path_prefix + endpoint.spec.method.route
        began = time.perf_counter()
        self._running += 1
        metrics.began(route)
        try:
            await self._within_deadline(endpoint, exchange)
        finally:
            self._running -= 1
            status = exchange.status or CLIENT_CLOSED_REQUEST
            metrics.ended(route, status, time.perf_counter() - began)

    async def _within_deadline(self, endpoint: Endpoint, exchange: Exchange) -> None:
        try:
            with Deadline(self._timeout) as deadline:
                exchange.on_start = deadline.lift
                await endpoint.answer(exchange)
        except ClientLeftError:
            return
        except DeadlineExceededError:
            reply = timed_out(self._timeout)
        except Exception as error:
            reply = self._reply_to(error, endpoint.spec.method.location, exchange)
        else:
            return
        if not exchange.started:
            await exchange.reply(reply)

    def _reply_to(self, error: Exception, location: str, exchange: Exchange) -> Reply:
        if isinstance(error, ValidationError):
            # Its message holds the values, and its traceback ends with its message.
            logger.error(
                "%s made or returned what does not validate (request %s): %s\n%s",
                location,
                exchange.request_id,
                faults(error),
                "".join(traceback.format_tb(error.__traceback__)),
            )
        elif isinstance(error, BentoMLException) and int(error.error_code) < 500:
            logger.info("%s refused request %s: %s", location, exchange.request_id, error)
        else:
            return self._failed(exchange, location, error)
        return reply_to(error)

    def _failed(self, exchange: Exchange, location: str, error: Exception | None = None) -> Reply:
        logger.error("%s failed (request %s)", location, exchange.request_id, exc_info=True)
        return reply_to(error or RuntimeError())

    def _routes(self) -> dict[str, Endpoint]:
        routes: dict[str, Endpoint] = {}
        for endpoint in self._endpoints:
            method = endpoint.spec.method
            path = self.service.path_prefix + method.route
            if path in routes:
                raise UserError(
                    f"{method.location}: the route {path} is already taken by "
                    f"{routes[path].spec.method.location}; give one of them another route."
                )
            routes[path] = endpoint
        return routes

    def _page_table(self) -> dict[str, Page]:
        prefix = self.service.path_prefix
        documents = {
            f"{prefix}/docs.json": openapi_document(self.service, self.specs, self._version),
            "/schema.json": schema_document(self.service, self.specs),
        }
        pages: dict[str, Page] = {
            path: partial(_fixed, Reply(200, to_json(content), "application/json"))
            for path, content in documents.items()
        }
        page = Path(__file__).with_name("docs.html").read_bytes()
        pages[f"{prefix}/"] = partial(_fixed, Reply(200, page, "text/html; charset=utf-8"))
        pages[f"{prefix}/livez"] = pages[f"{prefix}/healthz"] = self._liveness
        pages[f"{prefix}/readyz"] = self._readiness
        if self.service.config.get("metrics", {}).get("enabled", True):
            pages[f"{prefix}/metrics"] = self._render_metrics
        return pages

    async def _liveness(self) -> Reply:
        return await self._health("__is_alive__", "dead")

    async def _readiness(self) -> Reply:
        return await self._health("__is_ready__", "not ready") if self.ready else _UNHEALTHY

    async def _health(self, name: str, otherwise: str) -> Reply:
        check = getattr(self.instance, name, None)
        if check is None or await _off_loop(check):
            return _HEALTHY
        return text_reply(503, f"Service is {otherwise} because .{name}() returns False.")

    async def _render_metrics(self) -> Reply:
        if self._metrics is None:
            return _UNHEALTHY
        text = self._metrics.render()
        hook = getattr(self.instance, "__metrics__", None)
        if hook is not None:
            text = await _off_loop(hook, text)
        return Reply(200, text.encode(), CONTENT_TYPE)


def _version() -> str:
    """The running bento's version; BentoML's words where there is no bento."""
    root = BentoRoot.current()
    return "not available" if root is None else BentoManifest.read(root.manifest).version


async def _fixed(reply: Reply) -> Reply:
    return reply


async def _off_loop(call: Callable[..., Any], *args: Any) -> Any:
    """Call a user's function, a sync one on a thread that no endpoint waits for."""
    if inspect.iscoroutinefunction(call):
        return await call(*args)
    return await _value(await asyncio.to_thread(call, *args))


async def _value(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def _run_all(hooks: list[Hook]) -> None:
    for hook in hooks:
        await _value(hook())
