"""What the platform asks of an engine, and of an instance that it started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from bentofn.adapters.local.isolation.policy import UNLIMITED, Isolation, Tenancy
from bentofn.runtime.errors import UserError

Log = Callable[[str, str, str], None]
"""Takes an instance's id (or ``template``, ``snapshot``), ``stdout``, ``stderr`` or ``platform``,
and a line."""

TEMPLATE_ID = "template"


class StartFailed(UserError):  # noqa: N818 - reads as what happened, like UserError's kin
    """An instance or a template did not start; the message says why."""


class StartTimedOut(StartFailed):
    """An instance did not serve in the time that it had."""


class EngineRefused(Exception):  # noqa: N818 - not an error: the platform takes another engine
    """The service works, but not with this engine; the message says why and what to do."""


class ZygoteFailed(EngineRefused):
    """A zygote cannot be started from now, which says nothing of the service."""


@dataclass(frozen=True)
class InstanceSpec:
    """An instance to start.

    Args:
        instance_id: Its name, also that of its socket.
        env: Its environment beside the engine's own; it wins where both name a variable.
        threads: Its compute threads, unless ``OMP_NUM_THREADS`` is in its environment.
    """

    instance_id: str
    env: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1


class Instance(Protocol):
    """One running copy of a service."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def pid(self) -> int:
        """Its process, which leads a session of its own."""

    @property
    def socket_path(self) -> Path:
        """The AF_UNIX socket on which it serves HTTP."""

    @property
    def verdict(self) -> str:
        """Why its limits ended it, once it has ended; empty where they did not."""

    async def ready(self) -> None:
        """Wait until it serves.

        Raises:
            StartFailed: It ended, or said that it cannot start.
        """

    async def wait(self) -> int | None:
        """Wait until it has ended.

        Returns:
            Its exit status, negative for a signal; None if nobody was left to learn it.
        """

    async def stop(self, grace: float) -> None:
        """Ask it to finish, kill it after ``grace`` seconds, and wait until it has ended."""


class Engine(Protocol):
    """A way to start instances of one bento."""

    @property
    def name(self) -> str:
        """``none``, ``template`` or ``criu``."""

    async def prepare(self) -> None:
        """Do ahead what can be done before an instance is needed; again, it does nothing.

        Raises:
            EngineRefused: The service cannot be started this way.
            StartFailed: It cannot be started at all.
        """

    async def start(self, spec: InstanceSpec) -> Instance:
        """Start an instance; it is not ready yet when this returns.

        Raises:
            EngineRefused: The service cannot be started this way.
            StartFailed: It cannot be started at all.
        """

    async def close(self) -> None:
        """Stop everything that this engine runs."""


@runtime_checkable
class KeepingEngine(Engine, Protocol):
    """An engine that keeps on disk what it starts from, and bounds its preparation itself."""

    async def recall(self) -> bool:
        """Take up what is kept from earlier; False where there is nothing.

        Raises:
            EngineRefused: Nothing can be started this way here.
        """


class CompileFirst(Protocol):
    """Keeps what a service compiles, given the whole environment of its processes."""

    def is_due(self, env: Mapping[str, str]) -> bool:
        """Whether nothing that is kept fits this machine."""

    def have(self, env: Mapping[str, str]) -> None:
        """See to it, if it is due; blocks, and fails silently."""


@dataclass(frozen=True)
class Launch:
    """What every process of a bento is started with.

    Args:
        root: The bento's root.
        python: The interpreter.
        env: The whole environment; nothing is inherited from the platform.
        sockets: A short directory, only its owner's, for the instances' sockets.
        log: Where lines of output go.
        isolation: What holds the instances to their limits and keeps them apart.
        compile_first: Has what the service compiles kept, where that is due.
    """

    root: Path
    python: Path
    env: Mapping[str, str]
    sockets: Path
    log: Log
    isolation: Isolation = UNLIMITED
    compile_first: CompileFirst | None = None

    def environment(self, spec: InstanceSpec | None = None) -> dict[str, str]:
        """The environment of an instance, or of the template."""
        own = {"BENTOFN_ROOT": str(self.root), **self.isolation.environment}
        return {**self.env, **(spec.env if spec else {}), **own}

    def have_compiled(self, gpus: Mapping[str, str] | None = None) -> None:
        """Have what the service compiles kept, before what is to be copied is started; blocks.

        Args:
            gpus: What tells it its GPUs.
        """
        if self.compile_first is not None:
            self.compile_first.have({**self.environment(), **(gpus or {})})

    def would_compile(self) -> bool:
        """Whether :meth:`have_compiled` has anything to do."""
        return self.compile_first is not None and self.compile_first.is_due(self.environment())

    def tenancy(self, spec: InstanceSpec, *, limited: bool = True) -> Tenancy:
        """A cell for an instance that is to be started.

        Args:
            spec: It.
            limited: Whether it is held to its limits there.

        Raises:
            StartFailed: The system has no room for it.
        """
        try:
            return Tenancy(self.isolation.cells.make(spec.instance_id, limited=limited))
        except OSError as error:
            raise StartFailed(f"its limits cannot be set: {error.strerror}") from error
