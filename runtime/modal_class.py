"""A bento's service in the order in which Modal starts the containers of a class.

The class itself is written by the adapter (``adapters/modal/entry.py``), since its decorators are
Modal's. Its hooks come here: up to the snapshot, after the restore, and its calls.

Source: https://modal.com/docs/guide/memory-snapshots (before and after the snapshot) and
https://modal.com/docs/guide/lifecycle-functions (the hooks).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from bentofn.runtime import boot, lifecycle, renew, threads
from bentofn.runtime.cuda import quiet
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.http.cors import with_cors
from bentofn.runtime.http.exchange import ASGIApp
from bentofn.runtime.idle_connections import close_idle_connections
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.lifespan import Lifespan
from bentofn.runtime.modal_variables import CORS, LINKS


class Served:
    """The service of a container.

    Args:
        root: The bento's root in the container.
        cpus: Compute threads.
    """

    def __init__(self, root: str, cpus: int) -> None:
        self._root = BentoRoot(Path(root))
        self._where = boot.places({"root": root}, str(self._root.boot_script))
        self._prepared: lifecycle.Prepared | None = None
        self._renewals: Sequence[renew.Renewal] = ()
        self._app: ASGIApp | None = None
        self._lifespan: Lifespan | None = None
        self._has_begun = False
        self._starting = asyncio.Lock()
        boot.set_import_path(self._where)
        os.environ["BENTOFN_ROOT"] = root
        os.chdir(self._root.source)
        threads.allow(os.environ, cpus)
        _link_models(self._root)

    def load(self) -> None:
        """Import the service only: what can be kept of one whose constructor needs the GPU."""
        services = lifecycle.load(self._where).all_services(exclude_urls=True).values()
        close_idle_connections()
        self._renewals = renew.find_imported([each.inner for each in services])

    def construct(self) -> None:
        """Bring the service to its snapshot point, and the GPU to rest.

        Raises:
            UserError: The service cannot be served, an example is not answered, or what it has on
                GPUs cannot be kept.
            Exception: Whatever its constructor raises.
        """
        self._prepared = lifecycle.prepare(self._where)
        quiet.settle()  # Modal takes the GPU's memory too, where gpuSnapshot says so
        lifecycle.settle()
        self._renewals = renew.find(self._prepared.instance)

    def go_on(self) -> None:
        """Become a container of its own: once, after the restore where there is a snapshot.

        Raises:
            Exception: What a start that is not kept raises, or an after-restore hook.
        """
        renew.renew(self._renewals)
        if self._prepared is None:  # what uses GPUs by then stays there
            self._prepared = lifecycle.prepare(self._where)
            lifecycle.settle()
        run_after_restore(self._prepared.instance)
        rules = json.loads(os.environ.get(CORS, "{}"))
        self._app = with_cors(self._prepared.served, rules)

    async def web(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application; Modal starts and stops it, and so the service, by its lifespan."""
        assert self._app is not None
        if scope["type"] == "lifespan":
            self._has_begun = True
        await self._app(scope, receive, send)

    async def call(self, route: str, body: bytes) -> AsyncIterator[dict[str, Any] | bytes]:
        """Answer a call without HTTP.

        Args:
            route: Path of the endpoint.
            body: JSON.

        Yields:
            First ``{"status": ..., "headers": {...}}``, then the chunks of the body.
        """
        assert self._app is not None
        await self._start()
        said: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue(16)
        asked = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await asyncio.Event().wait()  # the caller stays; the task ends with the answer
            raise AssertionError

        answering = asyncio.ensure_future(self._app(_scope(route, body), receive, said.put))
        try:
            async for message in _messages(said, answering):
                if message["type"] == "http.response.start":
                    yield {"status": message["status"], "headers": _headers(message)}
                elif message.get("body"):
                    yield bytes(message["body"])
        finally:
            answering.cancel()

    async def call_all(self, routes: Sequence[str], bodies: Sequence[bytes]) -> list[Any]:
        """Answer the calls that Modal joined, together, so that the service's batches form.

        Args:
            routes: Path of the endpoint, for each.
            bodies: JSON, for each.

        Returns:
            For each a status, headers and the whole body.
        """
        return list(await asyncio.gather(*map(self._whole, routes, bodies)))

    async def close(self) -> None:
        """Stop the service, unless Modal does as it stops the ASGI application."""
        if self._lifespan is not None:
            await self._lifespan.shutdown()

    async def _whole(self, route: str, body: bytes) -> dict[str, Any]:
        parts = [part async for part in self.call(route, body)]
        head, chunks = parts[0], parts[1:]
        assert isinstance(head, dict)
        return {**head, "body": b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))}

    async def _start(self) -> None:
        async with self._starting:
            if not self._has_begun:
                assert self._app is not None
                self._lifespan = Lifespan(self._app)
                await self._lifespan.startup()
                self._has_begun = True


async def _messages(
    said: asyncio.Queue[MutableMapping[str, Any]], answering: asyncio.Future[Any]
) -> AsyncIterator[MutableMapping[str, Any]]:
    """What an application says, until its answer is whole; raises what it raises."""
    while True:
        hearing = asyncio.ensure_future(said.get())
        await asyncio.wait({hearing, answering}, return_when=asyncio.FIRST_COMPLETED)
        if not hearing.done():
            if said.empty():
                hearing.cancel()
                answering.result()
                return
            await hearing
        message = hearing.result()
        yield message
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            return


def _scope(route: str, body: bytes) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": route,
        "raw_path": route.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"modal"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
        "client": ("127.0.0.1", 0),
        "server": ("modal", 443),
        "state": {},
    }


def _headers(message: MutableMapping[str, Any]) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}


def _link_models(root: BentoRoot) -> None:
    """Have the models, which are mounted by their digest, where the service looks for them."""
    for model, directory in json.loads(os.environ.get(LINKS, "{}")).items():
        link = root.models / model
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(directory)
