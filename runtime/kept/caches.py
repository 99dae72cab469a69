"""The compilers' directory of a process, from its start to its end."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.runtime.kept import hooks, overlay
from bentofn.runtime.kept.host import compiler_of, this_host
from bentofn.runtime.kept.layer import RECORD, Kept, choose
from bentofn.runtime.kept.report import Report, kernels
from bentofn.runtime.kept.start import WRITES
from bentofn.runtime.layout import BentoRoot

_TUNING = {"TORCHINDUCTOR_CPP_DYNAMIC_THREADS": "1"}
"""Kernels for any number of threads: a snapshot is warmed with one, and an instance has its own."""

_NO_WORKERS = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
"""What is found is not compiled: no processes for that, each of which would import torch."""


@dataclass(frozen=True)
class Caches:
    """What a process compiles with.

    Args:
        writes: Its own directory.
        kept: What fits this machine and where it stands; None where nothing does.
        report: What it compiles anew.
        recorded: Whether it writes down what it has compiled, for who looks at it afterwards.
    """

    writes: Path
    kept: tuple[Path, Kept] | None
    report: Report
    recorded: bool

    @classmethod
    def find(cls, root: BentoRoot) -> Caches:
        """What fits a bento on this machine."""
        kept, reasons = choose((root.compiled, root.compiled_here), this_host())
        given = os.environ.get(WRITES)
        writes = Path(given) if given else _fresh()
        return cls(writes, kept, Report(reasons, kept is not None), given is not None)

    def open(self) -> None:
        """Lay out the directory, and tell the libraries of it by the environment."""
        if self.kept is not None:
            overlay.lay(self.writes, self.kept[0])
            if self.kept[1].said and not compiler_of(os.environ):
                os.environ["PATH"] = overlay.stand_in(self.writes, self.kept[1].said, os.environ)
        for variable, name in overlay.VARIABLES.items():
            os.environ[variable] = str(self.writes / name)
        for variable, value in {**_TUNING, **(_NO_WORKERS if self.kept else {})}.items():
            os.environ.setdefault(variable, value)

    def opened_anew(self) -> Caches:
        """The same for a copy of this process, which has an environment and files of its own."""
        return replace(self, writes=_fresh(), recorded=False)

    def watch(self, environment: Path) -> None:
        """Have torch find what is kept, and tell what it compiles.

        Args:
            environment: Where the packages stand.
        """
        codecache = [hooks.same_everywhere(str(environment))]
        patches: dict[str, list[hooks.Patch]] = {
            hooks.CODECACHE: codecache,
            hooks.METRICS: [hooks.tell_of(self.report.heard)],
        }
        if self.kept is not None:
            codecache.append(hooks.known_source(self.kept[1].torch_key))
            patches[hooks.ISA] = [hooks.tried_before]
        hooks.install(patches)

    def started(self) -> None:
        """The service has answered its examples: tell what was compiled, and note of what it is."""
        hooks.end_workers()  # no copy could share them
        found = list(overlay.written(self.writes)) if self.writes.is_dir() else []
        self.report.started(kernels(found))
        if found and self.recorded:
            (self.writes / RECORD).write_bytes(self._record(found).to_json())

    def discard(self) -> None:
        """Remove the directory, at the process's end."""
        overlay.discard(self.writes)

    def _record(self, found: list[Path]) -> Kept:
        host = this_host()
        native = any(path.suffix == ".so" and overlay.TRITON not in path.parts for path in found)
        if not native:
            host = replace(host, features=(), compiler="")
        if not _uses_gpu():
            host = replace(host, gpu="", driver="")
        return Kept(
            host=host,
            versions=_versions(),
            said=hooks.said_by_compiler() if native else {},
            torch_key=hooks.torch_key(),
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
