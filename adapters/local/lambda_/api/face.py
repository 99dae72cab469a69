"""All of Lambda's side of the platform that its callers see, put together."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from bentofn.adapters.local.clock import Clock
from bentofn.adapters.local.core.invocations.concurrency import Concurrency
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.lambda_.api import deployment
from bentofn.adapters.local.lambda_.api.asynchronous import Asynchronous
from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.functions import Functions
from bentofn.adapters.local.lambda_.api.invoker import Invoker
from bentofn.adapters.local.lambda_.api.management import Management
from bentofn.adapters.local.lambda_.api.names import Name
from bentofn.adapters.local.lambda_.api.registry import Registry
from bentofn.adapters.local.lambda_.api.routes import PREFIX
from bentofn.adapters.local.lambda_.api.server import InvokeApi
from bentofn.adapters.local.lambda_.api.url import FunctionUrls
from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.errors import UserError

PROFILE = "lambda"
"""The platform profile whose functions are invoked here."""


class LambdaFace:
    """The Invoke API, function URLs and asynchronous invocations of a platform.

    Args:
        functions: The platform's.
        clock: Its time.
        journal: Told what becomes of events.
        directory: Where it keeps what must outlive the platform.
        address: Where the platform answers, without a slash at the end.
        secrets: Access key to secret, of those who may call URLs with ``aws_iam`` and read what
            functions have in their environment.
        concurrency: Invocations of all functions at a time.
        chance: Draws the versions of weighted aliases.

    Raises:
        UserError: What is kept there is damaged.
    """

    def __init__(
        self,
        functions: Functions,
        clock: Clock,
        journal: Journal,
        directory: Path,
        address: str,
        secrets: Mapping[str, str],
        concurrency: int,
        chance: random.Random | None = None,
    ) -> None:
        self._functions = functions
        self.registry = Registry(directory / "state.db", Concurrency(concurrency))
        self.invoker = Invoker(functions, self.registry, journal, chance or random.Random())
        self.asynchronous = Asynchronous(self.invoker, self.registry, clock, journal, directory)
        management = Management(functions, self.invoker, self.registry, address)
        limits = load_profile(PROFILE).limits
        self._api = InvokeApi(self.invoker, self.asynchronous, management, limits, secrets)
        self._urls = FunctionUrls(self.invoker, secrets, limits.payload)

    @staticmethod
    def takes(raw_path: str) -> bool:
        """Whether a request with this path is for the Invoke API."""
        return PREFIX.match(raw_path) is not None

    def has(self, function: str) -> bool:
        """Whether a function of this name is deployed as Lambda's."""
        return self._functions.live(function) is not None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request that :meth:`takes` knows."""
        return await self._api.answer(request)

    async def answer_url(
        self, request: web.BaseRequest, function: str, qualifier: str | None, path: str
    ) -> web.StreamResponse:
        """Answer a request for a function's URL.

        Args:
            request: The caller's request.
            function: The function's name.
            qualifier: A version or alias, or None.
            path: Path and query below the URL.
        """
        return await self._urls.answer(request, Name(function, qualifier), path)

    def check(self, spec: FunctionSpec) -> None:
        """Refuse what of a deployment Lambda would refuse.

        Raises:
            UserError: It reserves more concurrency than is left.
        """
        if spec.settings.profile == PROFILE:
            deployment.check(self.registry, spec)

    async def deployed(self, spec: FunctionSpec) -> None:
        """Have what a deployment says of limits and events hold."""
        if spec.settings.profile == PROFILE:
            try:
                await deployment.configure(self.registry, spec)
            except LambdaError as error:
                raise UserError(f"Function {spec.name!r}: {error.message}.") from error

    async def recover(self) -> None:
        """Go on with the events that a former platform left, of functions that are still there."""
        for function in self.registry.functions():
            if not self.has(function):
                await self.registry.forget(function)
        await self.asynchronous.recover()

    async def forget(self, function: str) -> None:
        """A function is no more, and nothing that was set for it or waits for it."""
        self.asynchronous.forget(function)
        await self.registry.forget(function)

    def drain(self) -> None:
        """Begin no event more."""
        self.asynchronous.stop()

    async def close(self) -> None:
        """Leave what is not done to the next platform, and close the database."""
        await self.asynchronous.close()
        await self.registry.disk.close()
