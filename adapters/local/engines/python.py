"""The interpreter that runs a bento, and the command that makes it one of its processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot

_ASK = "import sys; print(*sys.version_info[:2], sep='.'); print(sys.base_prefix)"
_TIMEOUT = 30  # seconds; an interpreter on a cold disk takes a few


def boot_command(python: Path, root: Path, process: str, *options: str) -> list[str]:
    """The command line of one of a bento's processes (see ``bentofn.runtime.boot``)."""
    return [str(python), "-I", "-S", "-u", str(BentoRoot(root).boot_script), process, *options]


def find_python(version: str) -> Path:
    """Find the base interpreter (not a virtual environment's) of a minor version.

    Tried in this order: the one that runs this, those that uv knows, ``pythonX.Y`` on the PATH.

    Args:
        version: Such as ``3.11``.

    Raises:
        UserError: There is none.
    """
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version == running:
        own = _installed_in(sys.base_prefix, version)
        if own is not None:
            return own
    for candidate in _candidates(version):
        base = _base_of(candidate, version)
        if base is not None:
            return base
    raise UserError(
        f"There is no Python {version} here, which the bento was built for; install it "
        f"(`uv python install {version}`) or build the bento with Python {running}."
    )


def _candidates(version: str) -> Iterator[str]:
    uv = _find_uv()
    if uv is not None:
        found = _output(
            [uv, "python", "find", "--no-project", "--system", "--no-python-downloads", version]
        )
        if found:
            yield found[0]
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path


def _find_uv() -> str | None:
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _base_of(python: str, version: str) -> Path | None:
    answer = _output([python, "-I", "-c", _ASK])
    return _installed_in(answer[1], version) if answer[:1] == [version] else None


def _installed_in(prefix: str, version: str) -> Path | None:
    # Not sys._base_executable: before Python 3.11 it is the virtual environment's own.
    python = Path(prefix) / "bin" / f"python{version}"
    return python if python.is_file() else None


def _output(command: list[str]) -> list[str]:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []
