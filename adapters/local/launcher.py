"""Starts a revision's instances with the fastest engine that works for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.engines import (
    Engine,
    EngineRefused,
    Instance,
    InstanceSpec,
    PlainEngine,
    StartFailed,
    TemplateEngine,
    boot_command,
    find_python,
)
from bentofn.adapters.local.engines.base import Log
from bentofn.adapters.local.engines.process import kill_session
from bentofn.adapters.local.engines.zygote import ZygoteEngine
from bentofn.adapters.local.engines.zygotes import Packages, Zygotes
from bentofn.adapters.local.environment import instance_environment
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.files import remove_tree
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot

_TEMPLATE_ATTEMPTS = 3
"""Templates made for one revision; one that is lost thrice is not worth a fourth."""


class Launcher:
    """The engines of one revision.

    Args:
        spec: The function.
        bento: What it runs.
        start_timeout: Seconds that an instance may take to serve.
        sockets: A directory of its own for the sockets.
        log: The function's log.
        zygotes: The platform's.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        bento: LocalBento,
        start_timeout: float,
        sockets: Path,
        log: LogWriter,
        zygotes: Zygotes,
    ) -> None:
        self._spec = spec
        self._bento = bento
        self._start_timeout = start_timeout
        self._sockets = sockets
        self._log = log
        self._environment = instance_environment(spec, bento)
        self._python: Path | None = None
        self._plain: Engine | None = None
        self._zygotes = zygotes
        self._zygote: ZygoteEngine | None = None
        self._may_share = spec.settings.snapshot == "auto" and bool(bento.packages)
        self._sharing: asyncio.Task[None] | None = None
        self._template: Engine | None = None
        self._preparation: asyncio.Task[None] | None = None
        self._given_up: list[Engine] = []
        self._attempts = 0
        self.note = ""

    @property
    def snapshot(self) -> str:
        """How the next instance starts: ``template``, or plainly: ``preparing``, ``none``."""
        if self._template is not None:
            return "template"
        preparing = self._preparation is not None and not self._preparation.done()
        return "preparing" if preparing else "none"

    @property
    def next_kind(self) -> str:
        """What the next start is called: ``restored``, ``zygote`` or ``cold``."""
        if self._template is not None:
            return "restored"
        return "zygote" if self._zygote is not None and self._zygote.available else "cold"

    def prepare(self) -> asyncio.Task[None] | None:
        """Have a template made in the background, unless there is one or none is wanted.

        Returns:
            The work; it raises StartFailed where the service does not start at all. A service
            that cannot be forked is no error: ``note`` says why.
        """
        if self._template is None and (self._preparation is None or self._preparation.done()):
            if self._spec.settings.snapshot == "none" or self._attempts >= _TEMPLATE_ATTEMPTS:
                return None
            self._attempts += 1
            self._preparation = asyncio.create_task(self._prepare())
            # Who does not wait for it reads the failure in the note.
            self._preparation.add_done_callback(lambda t: t.cancelled() or t.exception())
        return self._preparation

    async def launch(self, name: str, threads: int) -> tuple[Instance, str]:
        """Start an instance and wait until it serves.

        Args:
            name: Its name.
            threads: Its compute threads.

        Returns:
            The instance and the kind of its start, ``restored``, ``zygote`` or ``cold``.

        Raises:
            UserError: It does not serve.
        """
        spec = InstanceSpec(name, {"BENTOFN_INSTANCE": name}, threads)
        if self._must_restore:
            await self._wait_for_template()
        while (template := self._template) is not None:
            try:
                return await self._serve(template, spec), "restored"
            except (StartFailed, EngineRefused) as error:
                self._tell(f"the template is given up: {error}")
                self._give_up(template)
            if self._must_restore:
                await self._wait_for_template()
        zygote = await self._zygote_engine()
        if zygote is not None and zygote.available:
            try:
                instance = await self._serve(zygote, spec)
            except (StartFailed, EngineRefused) as error:
                # If the zygote lives, the reason is the service's and stays.
                self._may_share = not zygote.available
                self._log.write("zygote", "platform", f"not started from: {error}")
            else:
                self.prepare()
                return instance, "zygote"
        instance = await self._serve(await self._plain_engine(), spec)
        # Not earlier: the two would contend for the processor.
        self.prepare()
        self._share()
        return instance, "cold"

    def _share(self) -> None:
        """Have a zygote of the packages in the background, once what else was begun is done."""
        if self._sharing is None or self._sharing.done():
            self._sharing = asyncio.create_task(self._warm_zygote())

    async def _warm_zygote(self) -> None:
        if self._preparation is not None:
            await asyncio.wait([self._preparation])
        zygote = await self._zygote_engine()
        if zygote is not None:
            try:
                await zygote.prepare()
            except (StartFailed, EngineRefused) as error:
                self._log.write("zygote", "platform", f"there is none: {error}")

    async def _zygote_engine(self) -> ZygoteEngine | None:
        """The engine that forks the packages' zygote; None where this function may not."""
        if self._zygote is None and self._may_share:
            arguments = await self._engine_arguments()
            root, python, *_ = arguments
            packages = Packages(
                self._bento.packages, BentoRoot(root).runtime.resolve(), python.resolve()
            )
            self._zygote = ZygoteEngine(packages, self._zygotes, *arguments)
        return self._zygote if self._may_share else None

    @property
    def _must_restore(self) -> bool:
        return self._spec.settings.snapshot == "template"

    async def _wait_for_template(self) -> None:
        """Have a template for a function that may not start plainly.

        Raises:
            StartFailed: There will be none.
        """
        preparation = self.prepare()
        if preparation is not None:
            # Other starts wait for it too: one that is called off must not end it.
            await asyncio.shield(preparation)
        if self._template is None:
            raise StartFailed(
                f"{self.note}; mend that, or deploy it with snapshot: auto, which starts it plainly"
            )

    async def run_deployment_hook(self) -> None:
        """Run the service's ``on_deployment`` methods, once and in a process of their own.

        Raises:
            UserError: They failed.
        """
        root, python, environment, _, log = await self._engine_arguments()
        process = await asyncio.create_subprocess_exec(
            *boot_command(python, root, "on-deployment"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), self._start_timeout)
        except asyncio.TimeoutError:
            raise UserError(f"on_deployment took over {self._start_timeout:g} s.") from None
        finally:
            kill_session(process.pid)
        lines = output.decode(errors="replace").splitlines()
        for line in lines:
            log("on-deployment", "stdout", line)
        if process.returncode:
            raise UserError(f"on_deployment failed: {lines[-1] if lines else 'no output'}")

    async def close(self) -> None:
        """Stop all that the engines run and remove their sockets."""
        if self._preparation is not None:
            self._preparation.cancel()
            await asyncio.gather(self._preparation, return_exceptions=True)
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.gather(self._sharing, return_exceptions=True)
        for engine in (self._template, self._zygote, self._plain, *self._given_up):
            if engine is not None:
                await engine.close()
        self._template = self._plain = self._zygote = None
        remove_tree(self._sockets)

    async def _serve(self, engine: Engine, spec: InstanceSpec) -> Instance:
        try:
            return await asyncio.wait_for(_ready(engine, spec), self._start_timeout)
        except asyncio.TimeoutError:
            raise StartFailed(f"it did not serve within {self._start_timeout:g} s") from None

    async def _prepare(self) -> None:
        engine = TemplateEngine(*await self._engine_arguments())
        try:
            try:
                await asyncio.wait_for(engine.prepare(), self._start_timeout)
            except asyncio.TimeoutError:
                raise StartFailed(f"it was not warm within {self._start_timeout:g} s") from None
        except EngineRefused as error:
            await engine.close()
            self._attempts = _TEMPLATE_ATTEMPTS
            outcome = "no instance starts" if self._must_restore else "instances start plainly"
            self._tell(f"{outcome}: {error}")
        except BaseException as error:
            await engine.close()
            if isinstance(error, StartFailed):
                self._tell(f"no template: {error}")
            raise
        else:
            self.note = ""
            self._template = engine
            self._log.write("template", "platform", "ready")

    def _give_up(self, template: Engine) -> None:
        # Closing it now would end the instances that it has made.
        if self._template is template:
            self._template = None
            self._given_up.append(template)

    async def _plain_engine(self) -> Engine:
        if self._plain is None:
            self._plain = PlainEngine(*await self._engine_arguments())
        return self._plain

    async def _engine_arguments(self) -> tuple[Path, Path, dict[str, str], Path, Log]:
        if self._python is None:
            self._python = await asyncio.to_thread(find_python, self._bento.manifest.python)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        root = self._bento.root.path
        return root, self._python, self._environment, self._sockets, self._log.write

    def _tell(self, note: str) -> None:
        self.note = note
        self._log.write("template", "platform", note)


async def _ready(engine: Engine, spec: InstanceSpec) -> Instance:
    instance = await engine.start(spec)
    try:
        await instance.ready()
    except BaseException:
        await asyncio.shield(instance.stop(0.0))
        raise
    return instance
