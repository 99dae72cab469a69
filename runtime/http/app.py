"""The ASGI application of a service's instance."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any

from bentofn.runtime.batching.deployed import as_deployed
from bentofn.runtime.context import Context, current_context
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import Hook, marked
from bentofn.runtime.http import graphs
from bentofn.runtime.http.admission import Admission, Counted, failed
from bentofn.runtime.http.cors import with_cors
from bentofn.runtime.http.endpoint import Endpoint
from bentofn.runtime.http.errors import NOT_FOUND, method_not_allowed, redirected
from bentofn.runtime.http.exchange import ASGIApp, Exchange, Receive, Scope, Send, handshake
from bentofn.runtime.http.extra import Answer, Extra
from bentofn.runtime.http.metrics import Metrics
from bentofn.runtime.http.pages import Page, Pages, running_version, value_of
from bentofn.runtime.http.request_ids import RequestIds
from bentofn.runtime.http.templates import PathTemplates
from bentofn.runtime.io.spec import build_spec
from bentofn.runtime.mounts import Mount
from bentofn.runtime.proxy import addresses
from bentofn.runtime.service import Service
from bentofn.runtime.workers import Workers

if TYPE_CHECKING:
    from bentofn.runtime.command.proxy import CommandProxy
    from bentofn.runtime.http.mounted import Mounted, Mounts

MAX_BODY = 2 * 1024**3
"""Bytes of a request's body by default; ``http.max_body_size`` says otherwise."""

logger = logging.getLogger("bentofn.server")


class ServiceApp:
    """The ASGI application of a service's instance.

    Making one reads every annotation and builds every schema, so that a request does not; it starts
    no thread and no loop and opens nothing, so that the process can be kept as a snapshot.

    Args:
        service: The service.
        instance: The instance that answers.
        serves: Whether it is made for a server: what keeps tasks from being taken keeps it from
            starting. Otherwise their database is opened with the first.

    Raises:
        UserError: An annotation cannot be served, or two endpoints have one route.
    """

    def __init__(self, service: Service[Any], instance: object, *, serves: bool = False) -> None:
        self.service = service
        self.instance = instance
        self.ready = False
        self._secret = b""
        self._threads: int = service.config.get("threads", 1)
        self._workers: Workers | None = None
        self._ids = RequestIds()
        self._server = f"BentoFN Service/{service.name}".encode("latin-1", "replace")
        self.admission = Admission(service.config.get("traffic", {}))
        self._max_body: int = service.config.get("http", {}).get("max_body_size", MAX_BODY)
        self.version = running_version()
        state = service.context.state
        self._endpoints = [
            Endpoint(build_spec(as_deployed(method, os.environ)), instance, state)
            for method in service.apis.values()
        ]
        self.specs = [endpoint.spec for endpoint in self._endpoints]
        self._posts, templates = self._route_table()
        self._templates = PathTemplates(templates)
        self._extras: dict[tuple[str, str], Answer] = {}
        self._added: list[Extra] = []
        self._command = _command(service, instance)
        self._mounts = _mounts(service, self._command)
        pages = Pages(self, self._command)
        self._pages, self._late_pages = pages.first, pages.last
        cors = service.config.get("http", {}).get("cors", {})
        self._inner_http = self._http = with_cors(self._answer_http, cors)
        self._others: ASGIApp = self.answer
        if service.middlewares:
            from bentofn.runtime.http.middleware import wrapped

            self._http = self._others = wrapped(self.answer, service.middlewares)
        if any(method.is_task for method in service.apis.values()):
            from bentofn.runtime.http.tasks import ServiceTasks

            self.add(ServiceTasks(self, at_once=serves))

    @property
    def has_mounts(self) -> bool:
        """Whether applications of the user's answer too, which may take websockets."""
        return self._mounts is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if self._secret and scope["type"] != "lifespan":
            addresses.take_secret(scope, self._secret)
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection as the application inside the user's middleware does."""
        if scope["type"] == "http":
            await self._inner_http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._answer_websocket(scope, receive, send)

    def add(self, extra: Extra) -> None:
        """Answer further routes; before :meth:`start`.

        Raises:
            UserError: A path of them is taken.
        """
        for method, path in extra.routes:
            if (method, path) in self._extras or method in self._allowed(path):
                raise UserError(
                    f"{self.service.name}: the route {path} is needed for itself; give the method "
                    "that has it another route."
                )
        self._extras.update(extra.routes)
        self._added.append(extra)

    async def start(self, *, hooks: bool = True) -> None:
        """Get ready to answer, with all counters at zero.

        Args:
            hooks: Whether the service's ``on_startup`` methods run.
        """
        self._secret = addresses.own_secret()  # a copy of the process has its own
        self._ids = RequestIds()  # not those of a process that this one is a copy of
        self._workers = workers = self._workers or Workers(self._threads, self.service.name)
        metrics = Metrics(
            self.service.name,
            self.version,
            self.service.config.get("metrics", {}),
            max((spec.method.max_batch_size for spec in self.specs), default=1),
        )
        self.admission.metrics = metrics
        for endpoint in self._endpoints:
            count = partial(metrics.batch, endpoint.spec.method.name)
            endpoint.open(workers, self._threads, count)
        if hooks:
            await _run_all(marked(self.instance, "on_startup"))
            if self._mounts:
                await self._mounts.start(self.admission.limit)
            for extra in self._added:
                await extra.start()
        self.ready = True

    async def stop(self, *, hooks: bool = True) -> None:
        """Let what runs end, and give back every thread, but for those that have CUDA graphs: the
        next :meth:`start` calls the service's methods on them again.

        Args:
            hooks: Whether the service's ``on_shutdown`` methods run.
        """
        self.ready = False
        for endpoint in self._endpoints:
            await endpoint.close()
        if hooks:
            for extra in reversed(self._added):
                await extra.stop()
            if self._mounts:
                await self._mounts.stop()
            await _run_all(marked(self.instance, "on_shutdown"))
        if self._workers is not None and graphs.are_recorded():
            await self._workers.rest()
        else:
            self.end_threads()
        self.admission.close()

    def end_threads(self) -> None:
        """End those that :meth:`stop` left, if any."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

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

    def _answer_http(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine, as Endpoint.answer is none: each would be entered twice for every request.
        exchange = Exchange(
            scope, receive, send, self._server, self._ids.new, max_body=self._max_body
        )
        # An application that mounts this one leaves the mount's path in front.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        method = scope["method"]
        if method == "POST" and path in self._posts:
            return self.admission.answer(exchange, self._posts[path])
        if method in ("GET", "HEAD") and path in self._pages:
            return self._answer_page(self._pages[path], exchange)
        return self._answer_other(method, path, exchange)

    def endpoint(self, path: str) -> Counted:
        """What answers on the path of an endpoint."""
        return self._posts[path]

    async def _answer_page(self, page: Page, exchange: Exchange) -> None:
        try:
            reply = await page()
        except Exception:
            reply = failed(exchange, exchange.scope["path"])
        await exchange.reply(reply)

    async def _answer_other(self, method: str, path: str, exchange: Exchange) -> None:
        """Answer what no endpoint and no page has the path of, in BentoML's order of routes."""
        scope = exchange.scope
        template = self._templates.find(path) if method == "POST" else None
        if (method, path) in self._extras:
            await self._extras[method, path](exchange)
        elif template is not None:
            counted, scope["path_params"] = template
            await self.admission.answer(exchange, counted)
        elif self._mounts and (mounted := self._mounts.find(scope)):
            await self._answer_mounted(mounted, exchange)
        elif method in ("GET", "HEAD") and path in self._late_pages:
            await self._answer_page(self._late_pages[path], exchange)
        elif allowed := self._allowed(path):
            await exchange.reply(method_not_allowed(", ".join(allowed)))
        elif self._mounts and (mounted := self._mounts.find(scope, partial=True)):
            await self._answer_mounted(mounted, exchange)
        else:
            await exchange.reply(redirected(scope) if self._knows_other(scope) else NOT_FOUND)

    async def _answer_mounted(self, mounted: Mounted, exchange: Exchange) -> None:
        state = self.service.context.state
        current_context.set(Context(mounted.scope, exchange.receive, state, exchange.request_id))
        counted = Counted(mounted.answer, mounted.route, mounted.route)
        await self.admission.answer(exchange, counted)

    async def _answer_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        mounted = self._mounts.find(scope) if self._mounts else None
        if mounted is None:
            await send({"type": "websocket.close", "code": 1000})
            return
        answer = handshake(scope, send)
        exchange = Exchange(scope, receive, answer, self._server, self._ids.new)
        await self._answer_mounted(mounted, exchange)

    def _allowed(self, path: str) -> list[str]:
        """The methods that a path of the service's own is answered with."""
        takes_posts = path in self._posts or self._templates.find(path) is not None
        is_page = path in self._pages or path in self._late_pages
        extra = [method for method, taken in self._extras if taken == path]
        return ["POST"] * takes_posts + ["GET", "HEAD"] * is_page + extra

    def _knows_other(self, scope: Scope) -> bool:
        """Whether the path with a slash more or less at its end is answered."""
        path = scope["path"]
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        if self._allowed(other.removeprefix(scope.get("root_path", ""))):
            return True
        return bool(self._mounts and self._mounts.find({**scope, "path": other}, partial=True))

    def _route_table(self) -> tuple[dict[str, Counted], dict[str, Counted]]:
        """The endpoints by path: those of fixed paths, and those of templates."""
        routes: dict[str, Counted] = {}
        for endpoint in self._endpoints:
            method = endpoint.spec.method
            path = self.service.path_prefix + method.route
            if path in routes:
                raise UserError(
                    f"{method.location}: the route {path} is already taken by "
                    f"{routes[path].location}; give one of them another route."
                )
            routes[path] = Counted(endpoint.answer, path, method.location)
        templates = {path: each for path, each in routes.items() if "{" in path}
        return {path: routes[path] for path in routes.keys() - templates.keys()}, templates


def _command(service: Service[Any], instance: object) -> CommandProxy | None:
    if not service.has_custom_command():
        return None
    from bentofn.runtime.command.proxy import CommandProxy

    return CommandProxy(service, instance)


def _mounts(service: Service[Any], command: CommandProxy | None) -> Mounts | None:
    """The user's applications, and last what stands for the server of a command."""
    mounts = list(service.mounts)
    if command is not None:
        mounts.append(Mount(command, f"{service.path_prefix}/", "proxy", command.lifespan))
    if not mounts:
        return None
    from bentofn.runtime.http.mounted import Mounts

    return Mounts(mounts)


async def _run_all(hooks: list[Hook]) -> None:
    for hook in hooks:
        await value_of(hook())
