"""The interpreter and the platform that an environment is made for."""

from __future__ import annotations

import platform as host
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.environment.uv import uv_binary
from bentofn.runtime.errors import UserError

TIMEOUT = 30
"""Seconds in which an interpreter says what it is; on a cold disk it takes a few."""

_OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
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
    match = _VERSION.fullmatch(_OWN if python is None else python)
    if match is None:
        raise UserError(f"Python version {python!r} is not one; write it like 3.12.")
    minor = match.group(1)
    return Target(minor, here, find_interpreter(minor))


def base_interpreter() -> Path:
    """This process's interpreter, outside any virtual environment."""
    return _installed_in(sys.base_prefix, _OWN) or Path(sys.executable)


def find_interpreter(minor: str) -> Path:
    """Find an interpreter of a minor version, outside any virtual environment.

    Tried in this order: this process's, uv's, ``pythonX.Y`` on the PATH.

    Args:
        minor: Such as ``3.11``.

    Raises:
        UserError: There is none that runs.
    """
    if minor == _OWN:
        return base_interpreter()
    for candidate in _candidates(minor):
        interpreter = _base_of(candidate, minor)
        if interpreter is not None:
            return interpreter
    raise UserError(
        f"There is no Python {minor} here; install it (`uv python install {minor}`), "
        f"or build the bento for Python {_OWN} (docker.python_version of the bentofile)."
    )


def _candidates(minor: str) -> Iterator[str]:
    with suppress(UserError):  # without uv's program there is still the PATH
        uv = str(uv_binary())
        options = ("--no-project", "--system", "--no-python-downloads")
        yield from _output([uv, "python", "find", *options, minor])[:1]
    on_path = shutil.which(f"python{minor}")
    if on_path is not None:
        yield on_path


def _base_of(candidate: str, minor: str) -> Path | None:
    """The interpreter behind a program, which may be a version manager's shim or an environment."""
    text = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix)"
    answer = _output([candidate, "-I", "-S", "-c", text])
    return _installed_in(answer[1], minor) if answer[:1] == [minor] else None


def _output(command: list[str]) -> list[str]:
    """The lines that a program prints; none if it fails or hangs."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _installed_in(prefix: str, minor: str) -> Path | None:
    # Not sys._base_executable: before Python 3.11 it may be the virtual environment's own.
    path = Path(prefix) / "bin" / f"python{minor}"
    return path if path.is_file() else None


def host_platform() -> str:
    """This machine's OCI platform."""
    machine = host.machine().lower()
    return f"{sys.platform}/{_MACHINES.get(machine, machine)}"
