"""Functions that answer themselves, behind the real Lambda API on a real socket."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError

from bentofn.adapters.local.clock import ManualClock
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.lambda_.api.face import LambdaFace
from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.state import Deployment
from bentofn.adapters.local.tickets import Refused
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.url import Url

Handler = Callable[[Any, Invocation], Any]
START = 1_700_000_000.0
SECRETS = {"AKIABENTOFN": "secret"}


class HandlerError(Exception):
    """What a handler raises."""


class SmallFunctions:
    """Functions in this process: a handler each, and as many versions as were deployed."""

    def __init__(self) -> None:
        self.deployments: dict[str, list[Deployment]] = {}
        self.handlers: dict[str, Handler] = {}
        self.throttles: Counter[str] = Counter()
        self.ran: list[tuple[str, int | None, Invocation]] = []

    def deploy(self, name: str, handler: Handler, url: Url | None = None, **settings: Any) -> None:
        spec = FunctionSpec(name, "b:1", FunctionSettings(url=url, **settings))
        version = len(self.deployments.get(name, [])) + 1
        made = Deployment(spec, version, f"sha256:{version:064}", "2026-01-02T03:04:05+00:00")
        self.deployments.setdefault(name, []).append(made)
        self.handlers[name] = handler

    def names(self) -> Sequence[str]:
        return sorted(self.deployments)

    def live(self, name: str) -> Deployment | None:
        found = self.deployments.get(name)
        return found[-1] if found else None

    async def versions(self, name: str) -> Sequence[Deployment]:
        return self.deployments[name]

    def throttled(self, name: str) -> None:
        self.throttles[name] += 1

    async def run(self, name: str, version: int | None, invocation: Invocation) -> InvocationResult:
        self.ran.append((name, version, invocation))
        result = InvocationResult(b"", None, b"", 1.0, 1, None, 1, "application/json")
        if invocation.log_tail:
            result = dataclasses.replace(result, log_tail=b"START\nEND\n")
        try:
            value = self.handlers[name](json.loads(invocation.event), invocation)
            if hasattr(value, "__await__"):
                value = await value
        except HandlerError as error:
            text = {"errorMessage": str(error), "errorType": "HandlerError"}
            payload = json.dumps(text).encode()
            return dataclasses.replace(result, payload=payload, function_error="Unhandled")
        if isinstance(value, InvocationResult | Refused):
            if isinstance(value, Refused):
                raise value
            return value
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        return dataclasses.replace(result, payload=payload)


@dataclasses.dataclass
class Served:
    """A face on a port."""

    functions: SmallFunctions
    face: LambdaFace
    clock: ManualClock
    journal: Journal
    url: str
    home: Path

    def client(self, key: str = "any") -> Any:
        """An SDK's client of the API, which checks nothing itself; the key need not be known."""
        return _client(self.url, key)


@functools.cache
def _client(url: str, key: str) -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=SECRETS.get(key, "any"),
        config=Config(
            retries={"total_max_attempts": 1}, parameter_validation=False, max_pool_connections=50
        ),
    )


@asynccontextmanager
async def serve(
    functions: SmallFunctions, home: Path, concurrency: int = 1000
) -> AsyncIterator[Served]:
    """Serve functions' API and URLs until the end of the block."""
    clock = ManualClock(START)
    journal = Journal(clock.now)
    address, chance = "http://127.0.0.1", random.Random(0)
    face = LambdaFace(functions, clock, journal, home, address, SECRETS, concurrency, chance)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if face.takes(request.raw_path):
            return await face.answer(request)
        name, _, rest = request.raw_path.removeprefix("/").partition("/")
        function, _, qualifier = name.partition(":")
        return await face.answer_url(request, function, qualifier or None, f"/{rest}")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        await face.recover()
        yield Served(functions, face, clock, journal, f"http://{host}:{port}", home)
    finally:
        face.drain()
        await face.close()
        await runner.cleanup()


async def call(function: Any, **arguments: Any) -> Any:
    """Call a method of boto3's in a thread, with the body read."""

    def work() -> Any:
        answer = function(**arguments)
        if "Payload" in answer:
            answer["Payload"] = answer["Payload"].read()
        return answer

    return await asyncio.to_thread(work)


async def refused(function: Any, **arguments: Any) -> ClientError:
    """The error that a method of boto3's raises."""
    try:
        await asyncio.to_thread(lambda: function(**arguments))
    except ClientError as error:
        return error
    raise AssertionError("It was not refused.")
