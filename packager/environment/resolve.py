"""From requirements to a lock: exact versions with hashes, for one interpreter and platform."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.environment.index_settings import resolution_inputs
from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.repositories import built_requirement, plain
from bentofn.packager.environment.requirements import Requirements
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.environment.target import Target
from bentofn.packager.environment.torch_build import cpu_attempts, is_cuda
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.environment.wheels import wheel_requirement
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

SCHEMA = 2
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

    @property
    def versions(self) -> dict[str, str]:
        """Package to version, of those that come from an index."""
        pins = (line.partition(" ")[0].partition("==") for line in self.lines)
        return {name: version for name, equals, version in pins if equals}


def lock_key(
    project: Path, requirements: Requirements, target: Target, like: Lock | None = None
) -> str:
    """Digest of everything that a lock is made from, in hex.

    Args:
        project: The project's folder, whose uv configuration counts.
        requirements: What the environment must satisfy.
        target: What it is for.
        like: A lock whose versions are preferred.
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
        "repositories": plain(requirements.repositories),
        "uv": [hashlib.sha256(file.read_bytes()).hexdigest() for file in uv_files],
        "indexes": resolution_inputs(settings.uv_environment(os.environ)),
        "no_index": settings.no_index,
        "binaries": [settings.only_binary, settings.no_binary],
        "torch": settings.torch_cpu_index,
        "python": target.python,
        "platform": [target.platform, target.wheels],
        "like": like and like.digest,
    }
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def resolve(
    project: Path,
    requirements: Requirements,
    target: Target,
    home: Home,
    *,
    refresh: bool = False,
    like: Lock | None = None,
) -> Lock:
    """Lock an environment, to what the indexes have now, and remember the lock.

    Args:
        project: The project's folder.
        requirements: What the environment must satisfy; the runtime's own are added.
        target: What it is for.
        home: Where locks are cached.
        refresh: Whether indexes are asked for what uv's cache already knows.
        like: A lock whose versions are taken where the target can have them.

    Raises:
        UserError: The requirements cannot be satisfied, or an index cannot be reached.
    """
    with temporary_directory(home.directory(home.cache)) as scratch:

        def lock_of(wanted: Requirements) -> Lock:
            compiled = _compile(project, wanted, target, scratch, home, refresh, like)
            return Lock(tuple(_pinned(_entries(compiled), wanted.packages)))

        wanted = _with_own_wheels(requirements, target, home, refresh)
        lock = lock_of(wanted)
        if requirements.settings.torch_cpu_index is not None and is_cuda(lock.versions):
            lock = _with_cpu_torch(lock, wanted, lock_of)
    path = _path(lock_key(project, requirements, target, like), home)
    home.directory(path.parent)
    atomic_write(path, "\n".join(lock.lines).encode())
    return lock


def _with_own_wheels(
    requirements: Requirements, target: Target, home: Home, refresh: bool
) -> Requirements:
    """Require the project's wheels, and those of its repositories, by their hashes."""
    settings = requirements.settings
    own = map(wheel_requirement, requirements.wheels)
    built = (
        built_requirement(each, settings, target, home, refresh=refresh)
        for each in requirements.repositories
    )
    return replace(requirements, packages=(*requirements.packages, *own, *built))


def _pinned(lines: Iterable[str], packages: Iterable[str]) -> Iterator[str]:
    """Keep of each package only the hashes that the requirements pin, if they pin any."""
    wanted: dict[str, set[str]] = {}
    for package in packages:
        name, *hashes = re.split(r"\s+--hash[= ]", package)
        if hashes:
            wanted.setdefault(requirement_name(name), set()).update(hashes)
    for line in lines:
        requirement, *hashes = line.split(" --hash=")
        pinned = wanted.get(requirement_name(requirement))
        kept = [item for item in hashes if pinned is None or item in pinned]
        if not kept:
            raise UserError(
                f"No file of {requirement} has a hash that the requirements pin; correct the "
                "hashes, or leave them out: a bento's lock holds its own."
            )
        yield " --hash=".join((requirement, *kept))


def _with_cpu_torch(
    lock: Lock, requirements: Requirements, lock_of: Callable[[Requirements], Lock]
) -> Lock:
    for attempt in cpu_attempts(lock.versions, requirements):
        with suppress(UserError):
            return lock_of(attempt)
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
    like: Lock | None,
) -> str:
    output = scratch / "lock.txt"
    output.unlink(missing_ok=True)
    if like is not None:
        # uv keeps to the versions of an output file that is there, where it can.
        pins = (f"{name}=={version}" for name, version in like.versions.items())
        output.write_text("\n".join(pins) + "\n", encoding="utf-8")
    arguments = ["compile", "-", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    arguments += ["--refresh"] if refresh else []
    arguments += ["--python", str(target.interpreter), "--no-emit-package", "bentofn"]
    arguments += ["--output-file", str(output), *wheel_options(target)]
    if requirements.constraints:
        constraints = scratch / "constraints.txt"
        constraints.write_text("\n".join(requirements.constraints), encoding="utf-8")
        arguments += ["--constraint", str(constraints)]
    what = "The requirements cannot be satisfied"
    if target.is_foreign:
        what += f" for {target.platform}, for which packages are only taken as wheels"
    run_uv(
        arguments,
        requirements.settings,
        folder=project,
        what=what,
        home=home,
        stdin="\n".join((*requirements.packages, *RUNTIME_REQUIREMENTS)) + "\n",
    )
    return output.read_text(encoding="utf-8")


def wheel_options(target: Target) -> list[str]:
    """uv's options that choose wheels: of another platform only those, as nothing is built here."""
    options = [] if target.wheels is None else ["--python-platform", target.wheels]
    return [*options, "--only-binary", ":all:"] if target.is_foreign else options


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
