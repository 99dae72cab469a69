"""The CRIUs of this host: the one that is named, those that we installed, the one of the system."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

VARIABLE = "BENTOFN_CRIU"
"""Variable that names the program, before all others."""

INSTALLED = Path("/opt/bentofn/criu")
"""Where ``bentofn snapshot setup`` installs, one folder a version."""

FACTS = "criu.json"
"""File that the set-up script writes beside the program: the paths of its dynamic linker, its
libraries and itself, relative to the folder."""

NO_PLUGINS = {"CRIU_LIBS_DIR": "/proc/self/ns"}
"""Variables by which a CRIU looks for plugins where none are. That for CUDA, where a host has it,
would put GPU memory back by itself, and leave nothing for the platform to put back.

Source: ``cr_plugin_init`` of criu/plugin.c, ``cuda_plugin_resume_devices_late`` of plugins/cuda"""

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where distributions put it, which a user's PATH often lacks."""

_VERSION = re.compile(r"^Version:\s*(\d+(?:\.\d+)*)", re.MULTILINE)
_SECONDS = 10.0


@dataclass(frozen=True)
class Criu:
    """One CRIU.

    Args:
        command: The words that start it; arguments follow.
        version: Such as ``4.2.1``.
        path: The file that a user knows it by.
    """

    command: tuple[str, ...]
    version: str
    path: Path


def named_criu() -> Path | None:
    """The program that ``$BENTOFN_CRIU`` names."""
    value = os.environ.get(VARIABLE)
    return Path(value).expanduser().absolute() if value else None


def installed_criu(folder: Path = INSTALLED) -> Iterator[Criu]:
    """The CRIUs of this host that answer, best first: ours, newest first, then the system's."""
    ours = [criu for path in folder.glob("[0-9]*/criu") if (criu := criu_at(path)) is not None]
    yield from sorted(ours, key=lambda criu: version_key(criu.version), reverse=True)
    search = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"
    found = shutil.which("criu", path=search)
    if found is not None and (criu := criu_at(Path(found))) is not None:
        yield criu


def criu_at(path: Path) -> Criu | None:
    """The CRIU that a path names, or None if nothing there says its version."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _criu_at(path, status.st_mtime_ns, status.st_size, status.st_ino)


def parse_version(output: str) -> str | None:
    """The version in what ``criu --version`` prints, or None."""
    found = _VERSION.search(output)
    return found[1] if found else None


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers, to be compared; ``4.2`` and ``4.2.0`` are equal."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@lru_cache(maxsize=16)
def _criu_at(path: Path, modified: int, size: int, inode: int) -> Criu | None:
    """Ask it, once for as long as the file stays the same."""
    command = _through_its_linker(path) or (str(path),)
    try:
        asked = subprocess.run(
            [*command, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = parse_version(asked.stdout.decode(errors="replace"))
    return Criu(command, version, path) if version is not None else None


def _through_its_linker(path: Path) -> tuple[str, ...] | None:
    """The command of a program that brought its libraries: no shell script before it."""
    folder = path.parent
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        loader, libraries, program = (
            str(folder / facts[name]) for name in ("loader", "libraries", "program")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (loader, "--inhibit-cache", "--library-path", libraries, program)
