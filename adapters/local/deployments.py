"""How functions come to be live: a new version of one, or one that was live before."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Mapping

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.core.conformity import differences_of
from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.environment import MACHINE_LIMIT
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.lambda_.api.face import LambdaFace
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.roster import Roster
from bentofn.adapters.local.schedules.schedules import Schedules, unrun_events
from bentofn.adapters.local.secrets import with_values
from bentofn.adapters.local.state import Deployment, State
from bentofn.adapters.protocol import Deployed, FunctionSpec, Progress
from bentofn.runtime.errors import UserError


class Deployments:
    """Takes a function from one version to another.

    Args:
        state: All deployments.
        roster: The functions.
        resolve: Finds the bento of a deployment.
        schedules: Follow what is live.
        face: What Lambda's callers see follows it too.
        url_of: Where a function answers.
    """

    def __init__(
        self,
        state: State,
        roster: Roster,
        resolve: Callable[[FunctionSpec], Awaitable[LocalBento]],
        schedules: Schedules,
        face: LambdaFace,
        url_of: Callable[[str], str],
    ) -> None:
        self._state = state
        self._roster = roster
        self._resolve = resolve
        self._schedules = schedules
        self._face = face
        self._url_of = url_of

    async def apply(
        self, spec: FunctionSpec, secrets: Mapping[str, str], progress: Progress, *, wait: bool
    ) -> Deployed:
        """Make a function live as the spec says.

        Args:
            spec: The function.
            secrets: The values of its secrets, by variable.
            progress: Told about each step.
            wait: Whether to wait until fast starts are prepared.

        Raises:
            UserError: The new version does not start; the former one, if any, stays live.
        """
        progress("Unpacking the bento")
        bento = await self._resolve(spec)
        spec = dataclasses.replace(spec, bento=bento.tag)
        function = self._roster.obtain(spec.name)
        async with function.deploying:
            function.begin_log()
            return await self._apply(function, spec, secrets, bento, progress, wait)

    async def _apply(
        self,
        function: Function,
        spec: FunctionSpec,
        secrets: Mapping[str, str],
        bento: LocalBento,
        progress: Progress,
        wait: bool,
    ) -> Deployed:
        now = function.deployment
        differences = _differences(spec, bento)
        same = now is not None and (now.spec, now.digest) == (spec, bento.digest)
        if same and function.live and function.secrets == secrets:
            if wait and (preparation := function.live.launcher.prepare()) is not None:
                with contextlib.suppress(UserError):
                    await asyncio.shield(preparation)
            return self._deployed(function, differences, changed=False)
        self._face.check(spec)
        former = await asyncio.to_thread(self._state.versions, spec.name)
        version = former[-1].version + 1 if former else 1
        revision = await function.prepare(
            with_values(spec, secrets), bento, version, progress, wait=wait
        )
        await self._go_live(
            function, revision, secrets, lambda: self._state.add(spec, bento.digest)
        )
        return self._deployed(function, differences, changed=True)

    def changed_secrets(self, name: str, secrets: Mapping[str, str]) -> list[str]:
        """The variables of a function's secrets whose values an apply would change.

        Args:
            name: The function.
            secrets: The values as they are now, by variable.
        """
        former = self._roster.get(name).secrets
        return sorted(each for each, value in secrets.items() if former.get(each) != value)

    async def activate(
        self, name: str, version: int, secrets: Mapping[str, str], progress: Progress
    ) -> Deployed:
        """Make a version that was deployed before live again.

        Args:
            name: The function.
            version: Its number.
            secrets: The values of its secrets, by variable.
            progress: Told about each step.

        Raises:
            UserError: There is none, or it does not start; the live version stays then.
        """
        function = self._roster.get(name)
        async with function.deploying:
            assert function.deployment is not None
            found = [
                each
                for each in await asyncio.to_thread(self._state.versions, name)
                if each.version == version
            ]
            if not found:
                raise UserError(
                    f"There is no version {version} of {name}; bentofn versions {name} lists those "
                    "that there are."
                )
            (wanted,) = found
            progress("Unpacking the bento")
            bento = await self._resolve(wanted.spec)
            differences = _differences(wanted.spec, bento)
            live = function.live
            if live is not None and live.version == version and function.secrets == secrets:
                return self._deployed(function, differences, changed=False)
            self._face.check(wanted.spec)
            revision = await function.prepare(
                with_values(wanted.spec, secrets), bento, version, progress, wait=True
            )
            await self._go_live(
                function, revision, secrets, lambda: self._state.activate(name, version)
            )
            return self._deployed(function, differences, changed=True)

    async def _go_live(
        self,
        function: Function,
        revision: Revision,
        secrets: Mapping[str, str],
        record: Callable[[], Deployment],
    ) -> None:
        """Have a revision that is known to start take the live one's place.

        Args:
            function: The function.
            revision: What takes the requests.
            secrets: The values of its secrets.
            record: Writes it down.
        """

        async def commit() -> None:
            try:
                deployment = await asyncio.to_thread(record)
            except BaseException:
                await revision.close(0.0)
                raise
            function.secrets = dict(secrets)
            function.switch(revision, deployment)
            await function.follow_tasks()
            self._schedules.follow(function)
            await self._face.deployed(deployment.spec)

        # Once begun it is done to its end, or the database and the traffic would disagree.
        await asyncio.shield(asyncio.ensure_future(commit()))

    def _deployed(self, function: Function, differences: str, *, changed: bool) -> Deployed:
        assert function.deployment is not None
        assert function.live is not None
        spec, contract = function.deployment.spec, function.live.bento.manifest.contract
        return Deployed(
            name=function.name,
            url=self._url_of(function.name),
            version=function.deployment.version,
            bento=function.deployment.spec.bento,
            digest=function.deployment.digest,
            changed=changed,
            snapshot=function.live.launcher.snapshot,
            note="; ".join(
                filter(None, (function.live.note, differences, unrun_events(spec, contract)))
            ),
        )


def _differences(spec: FunctionSpec, bento: LocalBento) -> str:
    """See :func:`bentofn.adapters.local.core.conformity.differences_of`."""
    profile, contract = profile_of(spec.settings), bento.manifest.contract
    return differences_of(spec.name, profile, spec.settings, contract, MACHINE_LIMIT)
