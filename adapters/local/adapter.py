"""The target ``local``: the platform on this machine."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterator

from bentofn.adapters.endpoints import choose_route
from bentofn.adapters.local import daemon
from bentofn.adapters.local.capabilities import CAPABILITIES
from bentofn.adapters.local.client import Client
from bentofn.adapters.local.logs import log_path, read_logs, remove_logs
from bentofn.adapters.local.state import Deployment, State
from bentofn.adapters.protocol import (
    Capabilities,
    Deployed,
    FunctionSpec,
    FunctionStatus,
    Load,
    LogLine,
    Plan,
    Progress,
    Reply,
    Version,
)
from bentofn.adapters.schedule import ScheduleStatus
from bentofn.adapters.secret import secret_values
from bentofn.adapters.versions import choose, refused_share
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

    @property
    def capabilities(self) -> Capabilities:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        return CAPABILITIES

    def check_installed(self) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`: all that it needs comes with bentofn."""

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        # Here, because status and invoke must not wait for the store's modules.
        from bentofn.adapters.changes import CHANGED, SET
        from bentofn.adapters.local.planning import make_plan
        from bentofn.adapters.plan import Change

        plan = make_plan(self._home, self._state, spec, load)
        if not plan.ok or not spec.settings.secrets:
            return plan
        values = secret_values(spec.settings.secrets)
        endpoint = daemon.status(self._home)
        if endpoint is None or all(each.spec.name != spec.name for each in self._state.live()):
            return plan
        told = {each.path for each in plan.changes}
        paths = [f"secrets.{each}" for each in Client(endpoint).changed_secrets(spec.name, values)]
        more = [Change(path, SET, CHANGED) for path in paths if path not in told]
        return dataclasses.replace(plan, changes=(*plan.changes, *more))

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        self.plan(spec).check()
        secrets = secret_values(spec.settings.secrets)
        return self._running().apply(spec, progress, wait=wait, secrets=secrets)

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

    def versions(self, name: str) -> list[Version]:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        live = {each.spec.name: each.version for each in self._state.live()}
        self._check_deployed(name, list(live))
        return [
            Version(
                number=each.version,
                bento=each.spec.bento,
                digest=each.digest,
                created=each.created,
                weight=1.0 if each.version == live[name] else 0.0,
            )
            for each in self._state.versions(name)
        ]

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        return self._activate(name, version, progress)

    def promote(self, name: str, version: int, weight: float, progress: Progress) -> Deployed:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        if weight < 1:
            raise refused_share(CAPABILITIES, name)
        return self._activate(name, version, progress)

    def destroy(self, name: str) -> None:
        """See :class:`bentofn.adapters.protocol.Adapter`."""
        endpoint = daemon.status(self._home)
        if endpoint is not None:
            try:
                Client(endpoint).destroy(name)
            except UserError:
                self._check_known(name)
                raise
        else:
            self._check_known(name)
            self._state.remove(name)
            remove_logs(self._home.logs, name)
            (self._home.schedules / f"{name}.json").unlink(missing_ok=True)

    def _activate(self, name: str, version: int | None, progress: Progress) -> Deployed:
        number = choose(self.versions(name), name, version)
        (wanted,) = (each for each in self._state.versions(name) if each.version == number)
        secrets = secret_values(wanted.spec.settings.secrets)
        return self._running().activate(name, number, progress, secrets=secrets)

    def _running(self) -> Client:
        return Client(daemon.ensure_running(self._home, self._port))

    def _check_known(self, name: str) -> None:
        if not log_path(self._home.logs, name).exists():  # one that never started has a log
            self._check_deployed(name, [d.spec.name for d in self._state.live()])

    def _check_deployed(self, name: str, deployed: list[str]) -> None:
        if name not in deployed:
            near = difflib.get_close_matches(name, deployed, n=1)
            hint = f"did you mean {near[0]!r}? Deployed" if near else "deployed"
            raise UserError(
                f"There is no function {name!r} on target local; "
                f"{hint}: {', '.join(sorted(deployed)) or 'none'}."
            )


def _route(function: FunctionStatus, api: str | None) -> str:
    if not function.apis:
        raise UserError(
            f"Function {function.name!r} has no endpoint to invoke: its service declares none with "
            "@bentofn.api, or its bento is not usable (bentofn status says why)."
        )
    return choose_route(function.name, function.apis, api)


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
