"""The interpreter and the platform that an environment is made for."""

from __future__ import annotations

import hashlib
import os
import platform as host
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.environment.uv import uv_binary
from bentofn.runtime.errors import UserError

TIMEOUT = 30
"""Seconds in which an interpreter says what it is; on a cold disk it takes a few."""

MANYLINUX = "manylinux_2_28"
"""Wheels for a named platform need at most this C library, glibc 2.28: that of ubi8, and older than
Lambda's (Amazon Linux 2023: 2.34) and Debian 12's (2.36). https://peps.python.org/pep-0600/,
https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html"""

WHEELS = {"linux/amd64": f"x86_64-{MANYLINUX}", "linux/arm64": f"aarch64-{MANYLINUX}"}
"""Platforms that can be built for from any other, as uv's ``--python-platform`` names them."""

OLDEST = 10
"""Python 3.10 is the oldest that the runtime works with."""

_OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
_VERSION = re.compile(r"(3\.(\d+))(\.\d+)?")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_PLATFORM = re.compile(r"([a-z0-9]+)/([a-z0-9_]+)(/v8)?")


@dataclass(frozen=True)
class Target:
    """What an environment is made for.

    Args:
        python: Minor version, such as ``3.11``.
        platform: OCI platform, such as ``linux/amd64``.
        interpreter: An interpreter of that version on this machine.
        wheels: uv's name of the platform whose wheels are taken, so that they are the same
            wherever the bento is built; None takes any that run on this machine.
    """

    python: str
    platform: str
    interpreter: Path
    wheels: str | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether what is installed for it cannot run on this machine."""
        return self.platform != host_platform()

    @property
    def here(self) -> Target:
        """The same Python on this machine."""
        return replace(self, platform=host_platform(), wheels=None)


def find_target(python: str | None, platform: str | None) -> Target:
    """Choose the interpreter to build for.

    Args:
        python: Wanted version; None takes this process's.
        platform: Wanted OCI platform; None takes this machine's.

    Raises:
        UserError: The version is malformed or not on this machine, or nothing can be built for the
            platform.
    """
    here = host_platform()
    wanted = here if platform is None else _normal_platform(platform)
    if wanted != here and wanted not in WHEELS:
        raise UserError(
            f"A bento for {platform} cannot be built on {here}; "
            f"--platform takes {' or '.join(WHEELS)}, or a {platform} machine must build it."
        )
    match = _VERSION.fullmatch(_OWN if python is None else python)
    if match is None:
        raise UserError(f"Python version {python!r} is not one; write it like 3.12.")
    minor = match.group(1)
    if int(match.group(2)) < OLDEST:
        raise UserError(f"Python {minor} is too old; a bento needs Python 3.{OLDEST} or newer.")
    wheels = None if platform is None else WHEELS.get(wanted)
    return Target(minor, wanted, find_interpreter(minor), wheels)


def supported(python: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The nearest version that a bento may have to one that a project asks for.

    Returns:
        The version, and what the user should know of it.
    """
    match = _VERSION.fullmatch(python or "")
    if match is None or int(match.group(2)) >= OLDEST:
        return python, ()
    return f"3.{OLDEST}", (f"Python {python} is too old: the bento gets Python 3.{OLDEST}.",)


def _normal_platform(platform: str) -> str:
    """An OCI platform with the names that Go gives to its parts."""
    match = _PLATFORM.fullmatch(platform.lower())
    if match is None:
        raise UserError(f"Platform {platform!r} is not one; write it like linux/arm64.")
    system, machine, _ = match.groups()
    return f"{system}/{_MACHINES.get(machine, machine)}"


def base_interpreter() -> Path:
    """This process's interpreter, outside any virtual environment."""
    return _installed_in(sys.base_prefix, _OWN) or Path(sys.executable)


def find_interpreter(minor: str) -> Path:
    """Find an interpreter of a minor version, outside any virtual environment.

    Tried in this order: this process's, pyenv's, uv's, ``pythonX.Y`` on the PATH.

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
        f"or build the bento for Python {_OWN} (--python-version, or docker.python_version of the "
        "bentofile)."
    )


def _candidates(minor: str) -> Iterator[str]:
    # pyenv's programs on the PATH only run the version that its settings name.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = pyenv.glob(f"versions/{minor}.*/bin/python{minor}")
    yield from map(str, sorted(installed, key=_patch, reverse=True))
    with suppress(UserError):  # without uv's program there is still the PATH
        uv = str(uv_binary())
        options = ("--no-project", "--system", "--no-python-downloads")
        yield from _output([uv, "python", "find", *options, minor])[:1]
    on_path = shutil.which(f"python{minor}")
    if on_path is not None:
        yield on_path


def _patch(interpreter: Path) -> int:
    """The patch release in ``versions/3.12.4/bin/python3.12``; a development version is oldest."""
    last = interpreter.parents[1].name.rpartition(".")[2]
    return int(last) if last.isdecimal() else -1


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


def interpreter_identity(target: Target) -> str:
    """Names an interpreter so that another patch release of it is another one."""
    if target.interpreter == base_interpreter():
        return f"{host.python_implementation()} {host.python_version()}"
    real = target.interpreter.resolve()
    stat = real.stat()
    return hashlib.sha256(f"{real} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
