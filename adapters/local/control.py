"""The control API under ``/_bentofn/``: what the client in another process may ask for.

A deployment answers with a stream of JSON lines: ``{"progress": "..."}`` and last either
``{"deployed": {...}}`` or ``{"error": "..."}``. Everything else answers with one JSON document.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bentofn.adapters.local.platform import Platform
from bentofn.adapters.local.replies import error_response, read_body
from bentofn.adapters.local.testing.control import TestingControl
from bentofn.adapters.local.tickets import Refused
from bentofn.adapters.protocol import Deployed, FunctionSpec, Progress
from bentofn.runtime.errors import UserError

PREFIX = "/_bentofn/"
_BODY_LIMIT = 8 << 20


class Control:
    """Answers those who know the token.

    Args:
        platform: What is controlled.
        token: The secret of the state file.
    """

    def __init__(self, platform: Platform, token: str) -> None:
        self._platform = platform
        self._expected = f"Bearer {token}".encode()
        faults = platform.faults
        self._testing = TestingControl(platform, faults) if faults is not None else None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request under the prefix."""
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._expected):
            return error_response(401, "This is for bentofn itself; it knows the token.")
        action, _, name = request.path.removeprefix(PREFIX).partition("/")
        deployments = self._platform.deployments
        try:
            match request.method, action:
                case "GET", "status":
                    found = [dataclasses.asdict(s) for s in self._platform.status()]
                    zygotes = [dataclasses.asdict(z) for z in self._platform.zygotes()]
                    now = self._platform.clock.now()
                    gpus = dataclasses.asdict(self._platform.gpus())
                    return _json({"functions": found, "zygotes": zygotes, "gpus": gpus, "now": now})
                case "POST", "apply":
                    asked = json.loads(await read_body(request, _BODY_LIMIT))
                    spec, wait = FunctionSpec.from_json(asked["spec"]), bool(asked["wait"])
                    secrets = asked.get("secrets", {})
                    return await _stream(
                        request,
                        lambda report: deployments.apply(spec, secrets, report, wait=wait),
                    )
                case "POST", "activate":
                    asked = json.loads(await read_body(request, _BODY_LIMIT))
                    version, secrets = int(asked["version"]), asked.get("secrets", {})
                    return await _stream(
                        request,
                        lambda report: deployments.activate(name, version, secrets, report),
                    )
                case "POST", "secrets":
                    asked = json.loads(await read_body(request, _BODY_LIMIT))
                    return _json({"changed": deployments.changed_secrets(name, asked["secrets"])})
                case "POST", "tick":
                    asked = json.loads(await read_body(request, _BODY_LIMIT))
                    await self._platform.clock.tick(float(asked["seconds"]))
                    return _json({"now": self._platform.clock.now()})
                case "POST", "testing" if self._testing is not None:
                    asked = json.loads(await read_body(request, _BODY_LIMIT))
                    return _json(await self._testing.answer(name, asked))
                case "DELETE", "functions":
                    await self._platform.destroy(name)
                    return _json({"destroyed": name})
            return error_response(404, f"There is no {request.method} {request.path}.")
        except UserError as error:
            return error_response(400, str(error))
        except Refused as refusal:
            return error_response(refusal.status, refusal.reason)


async def _stream(
    request: web.BaseRequest, deploy: Callable[[Progress], Awaitable[Deployed]]
) -> web.StreamResponse:
    """Answer with the progress of a deployment and what it left live, a line each."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def work() -> None:
        try:
            deployed = await deploy(lambda line: lines.put_nowait({"progress": line}))
            lines.put_nowait({"deployed": dataclasses.asdict(deployed)})
        except (UserError, OSError) as error:
            lines.put_nowait({"error": str(error)})
        finally:
            lines.put_nowait(None)

    task = asyncio.create_task(work())
    try:
        while (line := await lines.get()) is not None:
            await response.write(json.dumps(line).encode() + b"\n")
        await task
    finally:
        # The caller has gone: what was not committed is taken back.
        task.cancel()
        await asyncio.wait([task])
    # The caller may hang up once it has read the last line.
    with contextlib.suppress(ConnectionResetError):
        await response.write_eof()
    return response


def _json(document: dict[str, Any]) -> web.Response:
    return web.Response(body=json.dumps(document).encode(), content_type="application/json")
