"""Starts a revision's instances with the fastest engine that works for it."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.choice import EngineChoice
from bentofn.adapters.local.compiled import FunctionCompiles
from bentofn.adapters.local.deployment import run_deployment_hook
from bentofn.adapters.local.engines import (
    CriuEngine,
    Engine,
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    PlainEngine,
    StartFailed,
    StartTimedOut,
    TemplateEngine,
    find_python,
)
from bentofn.adapters.local.engines.serving import serve
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.environment import instance_environment
from bentofn.adapters.local.gpu.on_disk import environment_on_disk
from bentofn.adapters.local.gpu.share import GpuFunction
from bentofn.adapters.local.gpu.sleeping import Sleeping
from bentofn.adapters.local.gpu.turns import ALONE, Pooled, Turns
from bentofn.adapters.local.isolation.policy import Isolation
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.packages import PackagesZygote
from bentofn.adapters.local.secrets import secrets_of
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.code.gpu import names_gpu
from bentofn.packager.files import remove_tree
from bentofn.packager.snapshot.obtain import Subject
from bentofn.packager.snapshot.warm import is_warmable

NOTHING: Mapping[str, str] = MappingProxyType({})


class Launcher:
    """The engines of one revision.

    Args:
        spec: The function.
        bento: What it runs.
        start_timeout: Seconds that an instance may take to serve.
        sockets: A directory of its own for the sockets.
        isolation: What holds the instances to their limits and keeps them apart.
        log: The function's log.
        shared: The platform's.
        pool: The pool that the instances belong to.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        bento: LocalBento,
        start_timeout: float,
        sockets: Path,
        isolation: Isolation,
        log: LogWriter,
        shared: Shared,
        pool: Pooled = ALONE,
    ) -> None:
        self._spec = spec
        self._bento = bento
        self._start_timeout = start_timeout
        self._sockets = sockets
        self._isolation = isolation
        self._log = log
        self._shared = shared
        self._environment = instance_environment(spec, bento)
        self._secrets = secrets_of(spec)
        self._python: Path | None = None
        self._plain: Engine | None = None
        self._called_off = threading.Event()
        self.turns: Turns | None = None
        """What it does about GPUs; None where it asks for none."""
        function = GpuFunction.of(spec, bento.manifest)
        if function is not None and shared.gpus.there:
            sleeping = Sleeping(
                function, shared, self._how_to_launch, start_timeout,
                lambda line: self._tell("checkpointed", line),
            )  # fmt: skip
            self.turns = Turns(
                function, shared.gpus, sleeping, pool, lambda line: self._tell("gpu", line)
            )
        # A zygote would have to be of a process that sees the GPUs that an instance is given.
        shares = spec.settings.snapshot == "auto" and self.turns is None
        self._packages = PackagesZygote(
            bento, shares, shared, self._how_to_launch, lambda line: self._tell("zygote", line)
        )
        self._turn = self.turns.preparing if self.turns is not None else nullcontext
        self._choice = EngineChoice(
            spec.settings.snapshot, self._make_engine, start_timeout, self._tell, self._turn,
            ("template",) if self._is_on_disk else (),
        )  # fmt: skip

    @property
    def snapshot(self) -> str:
        """How the next instance starts: ``checkpointed``, ``criu``, ``template``, or plainly:
        ``preparing``, ``none``."""
        return "checkpointed" if self._is_asleep else self._choice.state

    @property
    def note(self) -> str:
        """Why that is not the fastest that the spec allows; empty if it is."""
        if self.turns is None:
            return self._choice.note
        copies = self._choice.note if self.turns.may_copy else ""
        return "; ".join(filter(None, (self.turns.note, copies)))

    @property
    def next_kind(self) -> str:
        """What the next start is called: ``restored``, ``zygote`` or ``cold``."""
        if self._is_asleep or self._choice.current is not None:
            return "restored"
        return "zygote" if self._packages.available else "cold"

    @property
    def _is_asleep(self) -> bool:
        return self.turns is not None and self.turns.sleeping.has_one()

    @property
    def _is_on_disk(self) -> bool:
        return self.turns is not None and self.turns.function.on_disk

    async def recall(self) -> None:
        """Take up what earlier platforms and deployments left on disk for fast starts."""
        await self._choice.recall()
        if self._choice.current is None:
            await self._packages.recall()

    def prepare(self) -> asyncio.Task[None] | None:
        """See :meth:`bentofn.adapters.local.choice.EngineChoice.prepare`."""
        if self.turns is not None and not self.turns.may_copy:
            return None
        return self._choice.prepare()

    async def launch(
        self, name: str, threads: int, also: Mapping[str, str] = NOTHING
    ) -> tuple[Instance, str]:
        """Start an instance and wait until it serves.

        Args:
            name: Its name.
            threads: Its compute threads.
            also: Variables of its own.

        Returns:
            The instance and the kind of its start, ``restored``, ``zygote`` or ``cold``.

        Raises:
            UserError: It does not serve.
        """
        own = {"BENTOFN_INSTANCE": name, **self._secrets, **also}
        spec = InstanceSpec(name, own, threads)
        turns = self.turns
        if turns is None:
            return await self._launch(spec)
        spec = await turns.take(spec)
        try:
            woken = await turns.wake(self._serve, spec)
            started = (woken, "restored") if woken is not None else await self._launch(spec)
        except BaseException:
            turns.give(name)
            raise
        turns.follow(started[0], woken=woken is not None)
        if woken is None:
            self.prepare()  # it is known now whether it can be copied
        return started

    async def _launch(self, spec: InstanceSpec) -> tuple[Instance, str]:
        choice = self._choice
        if choice.current is None:
            await (choice.demand() if choice.must_restore else self.recall())
        failure: tuple[Engine, Exception] | None = None
        while (engine := choice.current) is not None:
            try:
                instance = await self._serve(engine, spec)
            except (StartFailed, EngineRefused) as error:
                self._tell(engine.name, f"an instance was not started: {error}")
                failure = engine, error
            else:
                choice.started(engine)
                return instance, "restored"
            if not choice.must_restore:
                break
            choice.failed(*failure)
            await choice.demand()
        instance, kind = await self._start_otherwise(spec)
        if failure is not None:  # else it is the service's fault, not the engine's
            choice.failed(*failure)
        # Not earlier: the two would contend for the processor.
        self.prepare()
        if kind == "cold":
            self._packages.warm(self._choice.preparation, self._turn)
        return instance, kind

    async def _start_otherwise(self, spec: InstanceSpec) -> tuple[Instance, str]:
        """Start an instance from a zygote if there is one, else plainly."""
        zygote = await self._packages.engine()
        if zygote is not None and zygote.available:
            try:
                instance = await self._serve(zygote, spec)
                self._packages.succeeded()
                return instance, "zygote"
            except StartTimedOut:
                raise  # what takes too long with everything imported does so without
            except (StartFailed, EngineRefused) as error:
                self._packages.failed(error)
        return await self._serve(await self._plain_engine(), spec), "cold"

    def keeps(self, instance: Instance) -> bool:
        """Whether what an instance becomes while it serves can be kept for later starts; not with
        secrets in its memory."""
        engine = self._choice.current
        return not self._secrets and isinstance(engine, CriuEngine) and engine.keeps(instance)

    def sleeps(self, instance: Instance) -> bool:
        """Whether an instance can sleep in place of being stopped."""
        return self.turns is not None and self.turns.sleeping.may(instance)

    async def stop(self, instance: Instance, grace: float, *, keep: bool) -> None:
        """Stop an instance.

        Args:
            instance: It.
            grace: Seconds for what it still does.
            keep: Whether it sleeps, or what it has become is kept before, if that can be done.
        """
        engine = self._choice.current
        try:
            if keep and self.turns is not None and await self.turns.sleep(instance):
                return
            if keep and isinstance(engine, CriuEngine):
                await engine.keep(instance)
        finally:
            await instance.stop(grace)

    async def run_deployment_hook(self) -> None:
        """See :func:`bentofn.adapters.local.deployment.run_deployment_hook`."""
        launch = await self._how_to_launch()
        launch = dataclasses.replace(launch, env={**launch.env, **self._secrets})
        await run_deployment_hook(launch, self._start_timeout)

    async def close(self) -> None:
        """Stop all that the engines run and remove their sockets."""
        self._called_off.set()
        await self._packages.close()
        for each in (self.turns, self._choice, self._plain):
            if each is not None:
                await each.close()
        self._plain = None
        remove_tree(self._sockets)

    async def _serve(self, engine: Engine, spec: InstanceSpec) -> Instance:
        return await serve(engine, spec, self._start_timeout)

    async def _make_engine(self, name: str) -> Engine:
        launch = await self._how_to_launch()
        if name == "template":
            zygote = await self._packages.engine()
            return TemplateEngine(launch, zygote.template if zygote is not None else None)
        bento, env, driver = self._bento, launch.environment(), None
        if self._is_on_disk:
            env |= await environment_on_disk(self._shared.gpus)
            driver = self._shared.gpus.driver
        subject = Subject(
            bento.tag, bento.digest, launch.root, launch.python, env, bento.manifest.envs,
            is_warmable(bento.manifest.contract), driver.controller if driver is not None else None,
        )  # fmt: skip
        return CriuEngine(launch, subject, self._shared.restorer, self._start_timeout, driver)

    async def _plain_engine(self) -> Engine:
        if self._plain is None:
            self._plain = PlainEngine(await self._how_to_launch())
        return self._plain

    async def _how_to_launch(self) -> Launch:
        if self._python is None:
            self._python = await asyncio.to_thread(find_python, self._bento.manifest.python)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        python = self._python
        first = FunctionCompiles(
            self._shared.restorer.store.home, self._bento, python, self._is_given_gpus,
            self._log.write, asyncio.get_running_loop(), self._called_off,
        )  # fmt: skip
        return Launch(
            self._bento.root.path, python, self._environment, self._sockets, self._log.write,
            self._isolation, first,
        )  # fmt: skip

    @property
    def _is_given_gpus(self) -> bool:
        resources = self._bento.manifest.contract.config.get("resources")
        return self._spec.settings.gpu is not None or names_gpu(resources)

    def _tell(self, engine: str, line: str) -> None:
        self._log.write("snapshot" if engine == "criu" else engine, "platform", line)
