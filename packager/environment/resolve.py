"""From requirements to a lock: exact versions with hashes, for one interpreter and platform."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.environment.index_settings import resolution_inputs
from bentofn.packager.environment.requirements import Requirements
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.environment.target import Target
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

SCHEMA = 1
"""Raised when the same inputs would give another lock."""

_UV_FILES = ("uv.toml", "pyproject.toml")


@dataclass(frozen=True)
class Lock:
    """An environment, exactly.

    Args:
        lines: One requirement with its hashes a line, sorted by name.
    """

    lines: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the lines, in hex."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


def lock_key(project: Path, requirements: Requirements, target: Target) -> str:
    """Digest of everything that a lock is made from, in hex.

    Args:
        project: The project's folder, whose uv configuration counts.
        requirements: What the environment must satisfy.
        target: What it is for.
    """
    wheels = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in requirements.wheels]
    uv_files = [(project / name) for name in _UV_FILES if (project / name).is_file()]
    settings = requirements.settings
    inputs = {
        "schema": SCHEMA,
        "packages": requirements.packages,
        "constraints": requirements.constraints,
        "runtime": RUNTIME_REQUIREMENTS,
        "wheels": wheels,
        "uv": [hashlib.sha256(file.read_bytes()).hexdigest() for file in uv_files],
        "indexes": resolution_inputs(settings.uv_environment(os.environ)),
        "no_index": settings.no_index,
        "python": target.python,
        "platform": target.platform,
    }
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def resolve(
    project: Path, requirements: Requirements, target: Target, home: Home, *, refresh: bool = False
) -> Lock:
    """Lock an environment, to what the indexes have now, and remember the lock.

    Args:
        project: The project's folder.
        requirements: What the environment must satisfy; the runtime's own are added.
        target: What it is for.
        home: Where locks are cached.
        refresh: Whether indexes are asked for what uv's cache already knows.

    Raises:
        UserError: The requirements cannot be satisfied, or an index cannot be reached.
    """
    with temporary_directory(home.directory(home.cache)) as scratch:
        compiled = _compile(project, requirements, target, scratch, home, refresh)
        lock = Lock(tuple(_entries(compiled)))
    path = _path(lock_key(project, requirements, target), home)
    home.directory(path.parent)
    atomic_write(path, "\n".join(lock.lines).encode())
    return lock


def cached_lock(key: str, home: Home) -> Lock | None:
    """The lock that the inputs behind a key gave before."""
    try:
        return Lock(tuple(_path(key, home).read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        return None


def _path(key: str, home: Home) -> Path:
    return home.cache / "locks" / f"{key}.txt"


def _compile(
    project: Path,
    requirements: Requirements,
    target: Target,
    scratch: Path,
    home: Home,
    refresh: bool,
) -> str:
    arguments = ["compile", "-", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    arguments += ["--refresh"] if refresh else []
    arguments += ["--python", str(target.interpreter), "--no-emit-package", "bentofn"]
    if requirements.constraints:
        constraints = scratch / "constraints.txt"
        constraints.write_text("\n".join(requirements.constraints), encoding="utf-8")
        arguments += ["--constraint", str(constraints)]
    return run_uv(
        arguments,
        requirements.settings,
        folder=project,
        what="The requirements cannot be satisfied",
        home=home,
        stdin="\n".join((*requirements.packages, *RUNTIME_REQUIREMENTS)) + "\n",
    )


def _entries(compiled: str) -> Iterator[str]:
    joined = compiled.replace("\\\n", " ")
    for line in sorted(joined.splitlines()):
        text = " ".join(line.split())
        if not text or text.startswith(("#", "-")):
            continue
        if "--hash=" not in text or re.search(r"@\s*file:", text):
            name = re.split(r"[ @=]", text, maxsplit=1)[0]
            raise UserError(
                f"{name} would come from a local path or has no hash, so that a bento cannot say "
                "exactly what it holds; take it from an index or list a wheel of it under "
                "python.wheels."
            )
        yield text
