"""A virtual environment for each peer, made once and kept."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from services import report

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.torch_build import with_cpu_index
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

MODELS = ("safetensors", "tokenizers", "numpy")
"""What the models import beside torch, which is the one that bentofn's own run takes."""


def folder() -> Path:
    """Where the environments are kept; remove it to have the peers' newest versions."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("BENTOFN_BENCH_PEERS") or f"{cache}/bentofn/peers")


def environment(name: str, distributions: Sequence[str], home: Home) -> Path:
    """The interpreter of a peer's environment, which is made if there is none.

    Args:
        name: The peer's.
        distributions: Its own.
        home: For the installer.

    Raises:
        UserError: A package cannot be had.
    """
    target = folder() / name.replace(", ", "-")
    python, complete = target / "bin" / "python", target / "complete"
    if not complete.exists():
        report(f"installing {name}")
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], check=True)
        torch = f"torch=={importlib.metadata.version('torch').partition('+')[0]}"
        _install(target, [torch, *MODELS, *distributions], home)
        complete.touch()
    return python


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
        # Only the index of CPU builds may have the one that this machine takes.
        with_cpu = with_cpu_index(settings)
        if with_cpu is None:
            raise
        _run(target, packages, with_cpu, home)


def _run(target: Path, packages: Sequence[str], settings: IndexSettings, home: Home) -> None:
    run_uv(
        ["install", "--python", str(target / "bin" / "python"), "--compile-bytecode", *packages],
        settings,
        folder=target,
        what="A peer cannot be installed",
        home=home,
    )
