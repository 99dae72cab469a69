"""A local platform for tests, and what is deployed to it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from bentofn._testing.clock import PlatformClock
from bentofn._testing.function import DeployedFunction
from bentofn._testing.sources import spec_of
from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.client import Client
from bentofn.adapters.local.interpreter import find_python
from bentofn.adapters.local.lambda_.client import lend_client
from bentofn.packager.files import remove_tree
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest

TIMEOUT = 60.0
"""Real seconds that a request may take, if the test does not say otherwise."""


class LocalPlatform:
    """A platform that runs for these tests only.

    Its time stands still until :attr:`clock` is told to have some pass.

    Args:
        home: Its deployments, logs and snapshots; bentos come from, and are built in, the user's.
        endpoint: Where it answers.
        http: What requests are sent with.
    """

    def __init__(self, home: Home, endpoint: daemon.Endpoint, http: httpx.Client) -> None:
        self.home = home
        self.url = endpoint.url
        """Where it answers, without a slash at the end."""
        self.client = Client(endpoint)
        self.clock = PlatformClock(self.client)
        self.http = http

    @property
    def aws_environment(self) -> dict[str, str]:
        """Variables with which AWS's SDKs call the functions that are deployed as Lambda's."""
        from bentofn.adapters.local.lambda_.api.credentials import sdk_environment

        return sdk_environment(self.home, self.url)

    @contextlib.contextmanager
    def deployed(
        self,
        source: str | Path,
        name: str | None = None,
        *,
        profile: str | None = None,
        **settings: Any,
    ) -> Iterator[DeployedFunction]:
        """Have a function deployed until the end of the block, at zero instances at first.

        Args:
            source: A project's folder, which is built, an unpacked bento's, or a bento's tag.
            name: Its name, or which of the project's functions is meant.
            profile: The backend whose rules it runs by, such as ``lambda``.
            settings: Fields of :class:`bentofn.adapters.protocol.FunctionSettings`, over those of
                the project's ``serverless.yml``.

        Raises:
            UserError: It cannot be built or deployed, or one of its name is deployed already.
            TypeError: There is no such setting.
        """
        spec = spec_of(source, name, print)
        chosen = {**settings, **({} if profile is None else {"profile": profile})}
        spec = dataclasses.replace(spec, settings=dataclasses.replace(spec.settings, **chosen))
        manifest = BentoManifest.read(BentoRoot(Path(spec.bento)).manifest)
        if spec.settings.profile == "lambda":
            user, python = Home.default(), manifest.python
            lend_client(user, self.home, python, find_python(python))
        if spec.name in [each.name for each in self.client.status()]:
            raise UserError(f"A function {spec.name!r} is deployed already; give this one a name.")
        adapter = LocalAdapter(self.home)
        try:
            adapter.apply(spec, print)
        except UserError:
            _show_log(adapter, spec.name)
            raise
        function = DeployedFunction(spec, manifest.contract, self)
        try:
            function.begin_at_zero()
            yield function
        finally:
            function.close()
            function.heal()
            _show_log(adapter, spec.name)
            adapter.destroy(spec.name)


def _show_log(adapter: LocalAdapter, name: str) -> None:
    """Print what a function wrote, which pytest shows of a test that failed."""
    for line in adapter.logs(name):
        print(line.instance, line.line)


@contextlib.contextmanager
def platform() -> Iterator[LocalPlatform]:
    """Have a platform run until the end of the block, on a free port; nothing of it is left.

    Should this process end before, the platform ends with it.
    """
    with contextlib.ExitStack() as stack:
        home = Home(Path(tempfile.mkdtemp(prefix="bentofn-testing-")) / "home")
        stack.callback(remove_tree, home.path.parent)
        reading, writing = os.pipe()
        stack.callback(os.close, writing)
        try:
            endpoint = daemon.start(home, 0, speed=0.0, leash=reading)
        finally:
            os.close(reading)
        stack.callback(daemon.stop, home)
        limits = httpx.Limits(max_connections=None)
        http = httpx.Client(timeout=TIMEOUT, limits=limits, trust_env=False)
        yield LocalPlatform(home, endpoint, stack.enter_context(http))
