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
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def find_interpreter(minor: str) -> Path:
    """Find an installed interpreter of a minor version: uv's, or one on PATH.

    Raises:
        UserError: There is none.
    """
    command = [str(uv_binary()), "python", "find", "--no-project", "--no-python-downloads", minor]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    path = found.stdout.strip() if found.returncode == 0 else shutil.which(f"python{minor}")
    if not path:
        raise UserError(
            f"Python {minor} is not on this machine; install it (`uv python install {minor}`) "
            "or change docker.python_version."
        )
    return Path(path)


def host_platform() -> str:
    """This machine's OCI platform."""
    machine = host.machine().lower()
    return f"{sys.platform}/{_MACHINES.get(machine, machine)}"
