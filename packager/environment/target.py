"""The interpreter and the platform that an environment is made for."""

from __future__ import annotations

import platform as host
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.environment.uv import uv_binary
from bentofn.runtime.errors import UserError

_VERSION = re.compile(r"(3\.\d+)(\.\d+)?")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Target:
    """What an environment is made for.

    Args:
        python: Minor version, such as ``3.11``.
        platform: OCI platform, such as ``linux/amd64``.
        interpreter: An interpreter of that version on this machine.
    """

    python: str
    platform: str
    interpreter: Path


def find_target(python: str | None, platform: str | None) -> Target:
    """Choose the interpreter to build for.

    Args:
        python: Wanted version; None takes this process's.
        platform: Wanted OCI platform; None takes this machine's.

    Raises:
        UserError: The version is malformed or not on this machine, or the platform is another.
    """
    here = host_platform()
    if platform is not None and platform != here:
        raise UserError(
            f"A bento for {platform} cannot be built on {here} yet, because its service is "
            f"imported while it is built; build on a {platform} machine."
        )
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python is None:
        return Target(own, here, base_interpreter())
    match = _VERSION.fullmatch(python)
    if match is None:
        raise UserError(f"Python version {python!r} is not one; write it like 3.12.")
    minor = match.group(1)
    return Target(minor, here, base_interpreter() if minor == own else find_interpreter(minor))


def base_interpreter() -> Path:
    """This process's interpreter, outside any virtual environment."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _installed_in(sys.base_prefix, own) or Path(sys.executable)


def find_interpreter(minor: str) -> Path:
    """Find an installed interpreter of a minor version: uv's, or one on PATH.

    Raises:
        UserError: There is none that runs.
    """
    command = [str(uv_binary()), "python", "find", "--no-project", "--no-python-downloads", minor]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    candidates = (found.stdout.strip(), shutil.which(f"python{minor}") or "")
    for candidate in filter(None, candidates):
        interpreter = _base_of(candidate, minor)
        if interpreter is not None:
            return interpreter
    raise UserError(
        f"Python {minor} is not on this machine; install it (`uv python install {minor}`) "
        "or change docker.python_version."
    )


def _base_of(candidate: str, minor: str) -> Path | None:
    """The interpreter behind a program, which may be a version manager's shim or an environment."""
    text = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix)"
    try:
        done = subprocess.run(
            [candidate, "-I", "-S", "-c", text], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    version, _, prefix = done.stdout.strip().partition("\n")
    return _installed_in(prefix, minor) if version == minor else None


def _installed_in(prefix: str, minor: str) -> Path | None:
    # Not sys._base_executable: before Python 3.11 it may be the virtual environment's own.
    path = Path(prefix) / "bin" / f"python{minor}"
    return path if path.is_file() else None


def host_platform() -> str:
    """This machine's OCI platform."""
    machine = host.machine().lower()
    return f"{sys.platform}/{_MACHINES.get(machine, machine)}"
