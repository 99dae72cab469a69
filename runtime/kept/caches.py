"""The compilers' directory of a process, from its start to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bentofn.runtime.gpus import find_gpus
from bentofn.runtime.kept import hooks, overlay
from bentofn.runtime.kept.host import this_host
from bentofn.runtime.kept.layer import RECORD, Kept, choose
from bentofn.runtime.kept.report import Report, kernels
from bentofn.runtime.kept.start import WRITES
from bentofn.runtime.layout import BentoRoot

_ANY_THREADS = "TORCHINDUCTOR_CPP_DYNAMIC_THREADS"
"""Kernels for any number of threads: a snapshot is warmed with one, and an instance has its own."""

_TUNING = {
    _ANY_THREADS: "1",
    # With precompiled headers torch has the compiler preprocess all of them for each kernel, also
    # for one that it finds in its cache, to see whether they are what they were.
    "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",
    # Lines of kernels spell the path of their source, and when that was written.
    "TRITON_DISABLE_LINE_INFO": "1",
}
"""What is set unless the service sets it."""

_NO_WORKERS = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
"""What is found is not compiled: no processes for that, each of which would import torch. A process
that is there to compile has them."""


@dataclass(frozen=True)
class Caches:
    """What a process compiles with.

    Args:
        environment: Where the packages stand.
        writes: Its own directory.
        kept: What fits this machine and where it stands; None where nothing does.
        report: What it compiles anew.
        compiler: The machine's C++ compiler; empty where there is none.
        recorded: Whether it writes down what it has compiled, for who looks at it afterwards.
        threads: The numbers of threads that it has compiled for.
    """

    environment: Path
    writes: Path
    kept: tuple[Path, Kept] | None
    report: Report
    compiler: str
    recorded: bool
    threads: hooks.ThreadCounts = field(default_factory=hooks.ThreadCounts)

    @classmethod
    def find(cls, root: BentoRoot) -> Caches:
        """What fits a bento on this machine."""
        given = os.environ.get(WRITES)
        writes, recorded = Path(given) if given else _fresh(), given is not None
        places = [place for place in (root.compiled_here, root.compiled) if place.is_dir()]
        if not places:  # most have none, and need not know the machine
            return cls(root.environment, writes, None, Report(), "", recorded)
        here = this_host()
        kept, reasons = choose(places, here)
        report = Report(reasons, kept is not None)
        return cls(root.environment, writes, kept, report, here.compiler, recorded)

    def open(self) -> None:
        """Tell the libraries of the directory, by the environment."""
        for variable, name in overlay.VARIABLES.items():
            os.environ[variable] = str(self.writes / name)
        finds = self.kept is not None and not self.recorded
        for variable, value in {**_TUNING, **(_NO_WORKERS if finds else {})}.items():
            os.environ.setdefault(variable, value)
        if self.kept is None:
            return
        if self._needs_stand_in(self.kept[1]):
            places = (os.environ.get("PATH", ""), str(self.writes / overlay.PROGRAMS))
            os.environ["PATH"] = os.pathsep.join(filter(None, places))

    @property
    def own(self) -> Path:
        """Where a service keeps files of its own."""
        return self.writes / overlay.OWN

    def lay(self) -> None:
        """Make what is kept stand in the directory, unless it does."""
        if self.kept is None or self.writes.is_dir():
            return
        path, kept = self.kept
        try:
            overlay.lay(self.writes, path)
            if self._needs_stand_in(kept):
                overlay.stand_in(self.writes, kept.said)
        except OSError as error:  # the service may do without
            overlay.discard(self.writes)
            self.report.unusable = str(error)

    def _needs_stand_in(self, kept: Kept) -> bool:
        return bool(kept.said) and not self.compiler and not os.environ.get("CXX")

    def opened_anew(self) -> Caches:
        """The same for a copy of this process, which has an environment and files of its own."""
        return replace(self, writes=_fresh(), recorded=False)

    def watch(self) -> None:
        """Have torch find what is kept, and tell what it compiles."""
        codecache = [hooks.same_everywhere(str(self.environment))]
        patches: dict[str, list[hooks.Patch]] = {
            hooks.CODECACHE: codecache,
            hooks.BUILDER: [hooks.named_elsewhere(self._as_in_an_image())],
            hooks.ISA: [hooks.tried_before],
            hooks.METRICS: [hooks.tell_of(self.report.heard)],
        }
        patches |= {name: [hooks.untimed] for name in hooks.RESULTS}
        if os.environ[_ANY_THREADS] == "1":
            patches[hooks.FRAMES] = [self.threads.follow]
        if self.kept is not None:
            codecache.append(hooks.known_source(self.kept[1].torch_key))
            patches |= {n: [hooks.known_triton(self.kept[1].triton_key)] for n in hooks.TRITON}
        hooks.install(patches)

    def _as_in_an_image(self) -> dict[str, str]:
        """Where compiled code says that it stands: no bento tells of who built it."""
        image = BentoRoot.in_image()
        return {
            str(self.environment): str(image.environment),
            str(self.writes): str(image.compiled),
        }

    def before_compiling(self, call: Callable[[], None]) -> bool:
        """Have a function called before anything is compiled; False where it would not be."""
        return hooks.before_compiling(call)

    def started(self) -> None:
        """The service has answered its examples: tell what was compiled, and note of what it is."""
        hooks.end_workers()  # no copy could share them
        found = list(overlay.written(self.writes)) if self.writes.is_dir() else []
        if self.kept is not None and not self.kept[1].host.gpu and find_gpus() and _uses_gpu():
            self.report.reasons = ("without a GPU",)
        self.report.started(kernels(found))
        if found and self.recorded:
            (self.writes / RECORD).write_bytes(self._record(found).to_json())

    def has_compiled(self) -> bool:
        """Whether something stands in the directory that is no link to what is kept."""
        return any(True for _ in overlay.written(self.writes))

    def discard(self) -> None:
        """Remove the directory, at the process's end."""
        overlay.discard(self.writes)

    def _record(self, found: list[Path]) -> Kept:
        host = this_host()
        native = any((self.writes / overlay.INDUCTOR).rglob("*.so"))
        if not native:
            host = replace(host, compiler="")
        if not native and not self.own.is_dir():  # nobody knows what a service's own file holds
            host = replace(host, features=())
        if not _uses_gpu():
            host = replace(host, gpu="", driver="")
        return Kept(
            host=host,
            versions=_versions(),
            said=hooks.said_by_compiler() if native else {},
            torch_key=hooks.torch_key(),
            triton_key=hooks.triton_key() if (self.writes / overlay.TRITON).is_dir() else "",
            what=tuple(dict.fromkeys(self.report.compiled or kernels(found))),
        )


def _fresh() -> Path:
    directory = os.environ.get("TMPDIR") or "/tmp"
    return Path(directory, f"bentofn-compiles-{os.urandom(6).hex()}")


def _uses_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is None or (torch.version.cuda is not None and bool(torch.cuda.is_available()))


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in ("torch", "triton"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found
