"""The target ``local``: the platform on this machine."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from bentofn.adapters.local import daemon
from bentofn.adapters.local.client import Client
from bentofn.adapters.local.logs import log_path, read_logs, remove_logs
from bentofn.adapters.local.state import Deployment, State
from bentofn.adapters.protocol import (
    Deployed,
    FunctionSpec,
    FunctionStatus,
    LogLine,
    Progress,
    Reply,
)
from bentofn.adapters.schedule import ScheduleStatus
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

LAMBDA = "lambda"
"""The profile whose functions are invoked as AWS's are: with no URL, and no signature."""


class LocalAdapter:
    """Deploys to the local platform, and starts it where that is needed.

    Args:
        home: Whose bentos and functions.
        port: The platform's port, should it have to be started; None takes its last one.
    """

    name = "local"

    def __init__(self, home: Home, port: int | None = None) -> None:
        self._home = home
        self._port = port
        self._state = State(home)

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        if spec.settings.gpu is not None:
            raise UserError(
                f"Function {spec.name!r} asks for a GPU, which target local does not give; "
                "leave gpu out of its custom.bentofn section."
            )
        url, profile = spec.settings.url, spec.settings.profile
        if url is not None and url.authorizer is not None and profile != LAMBDA:
            raise UserError(
                f"Function {spec.name!r} asks for url.authorizer aws_iam, which target local "
                "checks for functions deployed --as lambda only; leave it out to have a URL "
                "without authorization here."
            )
        return self._running().apply(spec, progress, wait=wait)

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        endpoint = daemon.status(self._home)
        if endpoint is not None:
            found = Client(endpoint).status()
        else:
            found = [_stopped(d) for d in sorted(self._state.live(), key=lambda d: d.spec.name)]
        if name is None:
            return found
        self._check_deployed(name, [function.name for function in found])
        return [function for function in found if function.name == name]

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        self._check_deployed(name, [d.spec.name for d in self._state.live()])
        client = self._running()
        (function,) = (f for f in client.status() if f.name == name)
        route = _route(function, api)
        if function.profile != LAMBDA:
            return client.invoke(name, route, body)
        if len(function.apis) > 1:
            body = b'{"api": %s, "body": %s}' % (json.dumps(api).encode(), body)
        return client.invoke_lambda(name, body)

    def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        since: float = 0.0,
        tail: int | None = None,
        request: str = "",
    ) -> Iterator[LogLine]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        path = log_path(self._home.logs, name)
        if not path.exists():  # a function whose deployment failed has a log too
            self._check_deployed(name, [d.spec.name for d in self._state.live()])
        return read_logs(path, follow=follow, since=since, tail=tail, request=request)

    def destroy(self, name: str) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        self._check_deployed(name, [d.spec.name for d in self._state.live()])
        endpoint = daemon.status(self._home)
        if endpoint is not None:
            Client(endpoint).destroy(name)
        else:
            self._state.remove(name)
            remove_logs(self._home.logs, name)
            (self._home.schedules / f"{name}.json").unlink(missing_ok=True)

    def _running(self) -> Client:
        return Client(daemon.ensure_running(self._home, self._port))

    def _check_deployed(self, name: str, deployed: list[str]) -> None:
        if name not in deployed:
            near = difflib.get_close_matches(name, deployed, n=1)
            hint = f"did you mean {near[0]!r}? Deployed" if near else "deployed"
            raise UserError(
                f"There is no function {name!r} on target local; "
                f"{hint}: {', '.join(sorted(deployed)) or 'none'}."
            )


def _route(function: FunctionStatus, api: str | None) -> str:
    if api is None and len(function.apis) == 1:
        return next(iter(function.apis.values()))
    if not function.apis:
        raise UserError(
            f"Function {function.name!r} has no endpoint to invoke: its service declares none with "
            "@bentofn.api, or its bento is not usable (bentofn status says why)."
        )
    if api is None or api not in function.apis:
        asked = f"has no endpoint {api!r}" if api else "has several endpoints"
        raise UserError(
            f"Function {function.name!r} {asked}; name one of: {', '.join(function.apis)}."
        )
    return function.apis[api]


def _stopped(deployment: Deployment) -> FunctionStatus:
    return FunctionStatus(
        name=deployment.spec.name,
        url="",
        version=deployment.version,
        bento=deployment.spec.bento,
        digest=deployment.digest,
        deployed=deployment.created,
        state="stopped",
        snapshot="none",
        schedules=tuple(
            ScheduleStatus(
                each.name, each.expression, each.timezone, "stopped" if each.enabled else "disabled"
            )
            for each in deployment.spec.settings.schedules
        ),
        profile=deployment.spec.settings.profile,
    )
