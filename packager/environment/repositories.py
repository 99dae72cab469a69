"""Packages from git repositories, as wheels that a lock can name with their hash.

How such a requirement is written: https://pip.pypa.io/en/stable/topics/vcs-support/
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings, mask
from bentofn.packager.environment.target import Target
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.environment.wheels import wheel_requirement
from bentofn.packager.files import remove_tree, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.runtime.errors import UserError

_LINE = re.compile(
    r"(?:(?P<name>[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?)\s*@\s*)?"
    r"git\+(?P<url>(?:https?|ssh|git|file)://[^\s;#]+)(?:#(?P<fragment>[^\s;]*))?"
    r"(?:\s*;\s*(?P<marker>.+))?"
)


@dataclass(frozen=True)
class Repository:
    """A requirement that is a git repository.

    Args:
        url: What git clones.
        ref: Branch, tag or commit; empty for the default branch.
        subdirectory: Where the package is in it.
        extras: Its extras, in brackets, or empty.
        marker: When it is required, or empty.
    """

    url: str
    ref: str = ""
    subdirectory: str = ""
    extras: str = ""
    marker: str = ""

    def folder(self, target: Target, home: Home) -> Path:
        """Where its wheel is kept."""
        key = layer_key("repository", self.url, self.ref, self.subdirectory, target.python)
        return home.cache / "repositories" / key


def parse_repository(line: str) -> Repository | None:
    """Read a requirement such as ``name @ git+https://host/x.git@v1#subdirectory=y``."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    scheme, _, rest = match["url"].partition("://")
    authority, slash, path = rest.partition("/")
    path, _, ref = path.partition("@")
    if ref.startswith("-"):  # git would take it for an option
        return None
    fragment = dict(
        part.split("=", 1) for part in (match["fragment"] or "").split("&") if "=" in part
    )
    _, bracket, extras = (match["name"] or "").partition("[")
    return Repository(
        url=f"{scheme}://{authority}{slash}{path}",
        ref=ref,
        subdirectory=fragment.get("subdirectory", ""),
        extras=bracket + extras,
        marker=match["marker"] or "",
    )


def wheel_folders(
    repositories: Sequence[Repository], target: Target, home: Home
) -> tuple[str, ...]:
    """The folders of the repositories' wheels, which are there even without wheels."""
    return tuple(str(home.directory(each.folder(target, home))) for each in repositories)


def built_requirement(
    repository: Repository, settings: IndexSettings, target: Target, home: Home, *, refresh: bool
) -> str:
    """Make sure of a repository's wheel, and say what requires exactly that.

    Args:
        repository: The repository.
        settings: Where its build's own requirements come from.
        target: Whose interpreter builds it.
        home: Where the wheel is kept.
        refresh: Whether it is built again from what the branch holds now.

    Raises:
        UserError: It cannot be cloned or built.
    """
    folder = repository.folder(target, home)
    with home.lock(f"repository-{folder.name[:32]}"):
        wheel = next(iter(sorted(folder.glob("*.whl"))), None)
        if wheel is None or refresh:
            wheel = _build(repository, settings, target, home)
    return wheel_requirement(wheel, repository.extras, repository.marker)


def _build(repository: Repository, settings: IndexSettings, target: Target, home: Home) -> Path:
    folder = repository.folder(target, home)
    with temporary_directory(home.directory(home.cache)) as scratch:
        source, output = scratch / "source", scratch / "wheel"
        _git(
            repository, "clone", "--quiet", "--filter=blob:none", "--", repository.url, str(source)
        )
        if repository.ref:
            _git(repository, "-C", str(source), "checkout", "--quiet", repository.ref, "--")
        _git(
            repository, "-C", str(source), "submodule", "--quiet", "update", "--init", "--recursive"
        )
        time = _git(repository, "-C", str(source), "log", "-1", "--format=%ct").strip()
        package = (source / repository.subdirectory).resolve()
        if not package.is_relative_to(source.resolve()) or not package.is_dir():
            raise UserError(f"{mask(repository.url)} has no folder {repository.subdirectory}.")
        run_uv(
            [
                *("--wheel", "--quiet", "--python", str(target.interpreter)),
                *("--out-dir", str(output), str(package)),
            ],
            replace(settings, only_binary=(), no_binary=()),
            command=("build",),
            variables={"SOURCE_DATE_EPOCH": time},
            folder=package,
            what=f"{mask(repository.url)} cannot be built into a wheel",
            home=home,
        )
        wheel = next(output.glob("*.whl"))
        home.directory(folder.parent)
        remove_tree(folder)
        folder.mkdir()
        return wheel.rename(folder / wheel.name)


def _git(repository: Repository, *arguments: str) -> str:
    environment = {
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",  # a prompt would wait for ever
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise UserError(
            f"{mask(repository.url)} is a git repository, and there is no git here; install it."
        ) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
        reason = mask(" ".join(lines))[:300] or f"git ended with status {done.returncode}"
        ref = f" at {repository.ref}" if repository.ref else ""
        raise UserError(f"{mask(repository.url)}{ref} cannot be cloned: {reason}")
    return done.stdout


def plain(repositories: Sequence[Repository]) -> list[tuple[str, ...]]:
    """Repositories as JSON types, for a digest."""
    return [astuple(each) for each in repositories]
