"""Stock BentoML in an environment of its own, which is made once and kept."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.torch_build import with_cpu_index
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

VERSION = "1.4.39"
PACKAGES = (f"bentoml=={VERSION}", "pandas", "pillow", "torch==2.13.0", "fastapi")


def stock_python(home: Path) -> Path:
    """The interpreter of an environment with stock BentoML.

    Args:
        home: A folder for the installer.

    Raises:
        UserError: It cannot be installed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bentofn"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = cache / f"bentoml-{VERSION}-python{python}"
    complete = target / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists() or complete.read_text() != " ".join(PACKAGES):
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
            _install(target, PACKAGES, Home(home))
            complete.write_text(" ".join(PACKAGES))
    return target / "bin" / "python"


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
        what="Stock BentoML cannot be installed",
        home=home,
    )
