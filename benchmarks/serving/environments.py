"""Virtual environments of peers, made once and kept; the tests beside stock BentoML use one too."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.torch_build import with_cpu_index
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


def cache() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bentofn"


def environment(
    target: Path,
    packages: Sequence[str],
    home: Home,
    *,
    mark: str = "",
    report: Callable[[str], None] = lambda step: None,
) -> Path:
    """The interpreter of an environment, which is made if there is none.

    Args:
        target: The environment's folder.
        packages: What is installed there, of this interpreter's version of Python.
        home: For the installer.
        mark: An environment with another mark is made anew.
        report: Told when one is made.

    Raises:
        UserError: A package cannot be had.
    """
    complete = target / "complete"
    target.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{target}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists() or complete.read_text() != mark:
            report(f"installing {target.name}")
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
            _install(target, packages, home)
            complete.write_text(mark)
    return target / "bin" / "python"


def versions(python: Path, distributions: Sequence[str]) -> dict[str, str]:
    """The versions of distributions in an environment."""
    names = [each.partition("[")[0] for each in distributions]
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    done = subprocess.run(
        [str(python), "-c", code, *names], check=True, capture_output=True, text=True
    )
    return dict(zip(names, done.stdout.split(), strict=True))


def _install(target: Path, packages: Sequence[str], home: Home) -> None:
    settings = read_pip_config(os.environ)
    try:
        _run(target, packages, settings, home)
    except UserError:
        # Only the index of CPU builds may have the torch that this machine takes.
        with_cpu = with_cpu_index(settings)
        if with_cpu is None:
            raise
        _run(target, packages, with_cpu, home)


def _run(target: Path, packages: Sequence[str], settings: IndexSettings, home: Home) -> None:
    run_uv(
        ["install", "--python", str(target / "bin" / "python"), "--compile-bytecode", *packages],
        settings,
        folder=target,
        what=f"The environment {target.name} cannot be installed",
        home=home,
    )
