"""Installs a lock into a folder, and makes two installs of one lock the same bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.records import inside, records, rewrite, rows
from bentofn.packager.environment.resolve import Lock, wheel_options
from bentofn.packager.environment.target import Target
from bentofn.packager.environment.torch_build import is_for_want_of, with_cpu_index
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

SHEBANG = b"#!/usr/bin/env python3\n"

_UV_TRACES = ("uv_cache.json", "uv_build.json", "REQUESTED")
"""Files that say how and when a distribution was installed, not what it is."""


@dataclass(frozen=True)
class Distribution:
    """An installed distribution.

    Args:
        name: Name and version, as its dist-info folder is named.
        files: Its files, relative to the environment, with ``/``.
        size: Bytes of its files.
        digest: SHA-256 of its RECORD, which names every file with its hash, in hex.
    """

    name: str
    files: tuple[str, ...]
    size: int
    digest: str


def install(
    lock: Lock, settings: IndexSettings, target: Target, tree: Path, project: Path, home: Home
) -> None:
    """Install a lock into a new folder and normalise it.

    Args:
        lock: What to install.
        settings: Where packages come from.
        target: The interpreter to install for.
        tree: The folder; must not exist.
        project: The project's folder, whose uv configuration counts.
        home: The home that is written to.

    Raises:
        UserError: A package cannot be had, its hash differs, or the disk is full.
    """
    requirements = tree.with_name("lock.txt")
    requirements.write_text("\n".join(lock.lines) + "\n", encoding="utf-8")

    def run(chosen: IndexSettings) -> None:
        run_uv(
            [
                *("install", "--target", str(tree), "--python", str(target.interpreter)),
                *("--no-deps", "--require-hashes", "--link-mode", "copy", "--quiet"),
                *("--requirements", str(requirements), *wheel_options(target)),
            ],
            chosen,
            folder=project,
            what="The packages cannot be installed",
            home=home,
        )

    try:
        run(settings)
    except UserError as error:
        # The CPU build may come from an index that is only asked where the others have none.
        more = with_cpu_index(settings)
        if more is None or not is_for_want_of(str(error), lock.versions):
            raise
        run(more)
    normalise(tree)


def normalise(tree: Path) -> None:
    """Remove from an installed environment what another install of the same lock would differ in.

    Host paths in scripts' first lines, notes of the installer, bytecode, and modes that follow the
    umask. RECORD files are kept true.
    """
    for lock_file in tree.glob(".lock"):
        lock_file.unlink()
    for folder in sorted(tree.rglob("__pycache__"), reverse=True):
        shutil.rmtree(folder)
    scripts = tree / "bin"
    changed = {
        f"bin/{script.name}"
        for script in (sorted(scripts.iterdir()) if scripts.is_dir() else ())
        if _make_portable(script)
    }
    for record in records(tree):
        gone = _remove_traces(record.parent)
        rewrite(tree, record, changed, gone)
    for path in tree.rglob("*"):
        _set_mode(path)


def distributions(tree: Path) -> list[Distribution]:
    """The distributions of a normalised environment, by name, each with its files.

    Files that no RECORD names belong to a last one, called ``unowned``, if there are any.
    """
    found = []
    owned: set[str] = set()
    for record in records(tree):
        name = record.parent.name.removesuffix(".dist-info")
        paths = {inside(row[0]) for row in rows(record)}
        files = tuple(sorted(p for p in paths - owned if p and (tree / p).is_file()))
        owned.update(files)
        size = sum((tree / file).stat().st_size for file in files)
        digest = hashlib.sha256(record.read_bytes()).hexdigest()
        found.append(Distribution(name, files, size, digest))
    everything = {
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if path.is_file() or path.is_symlink()
    }
    rest = tuple(sorted(everything - owned))
    if rest:
        found.append(_unowned(tree, rest))
    return found


def _unowned(tree: Path, files: tuple[str, ...]) -> Distribution:
    digest = hashlib.sha256()
    for file in files:
        digest.update(
            f"{file}\0{hashlib.sha256((tree / file).read_bytes()).hexdigest()}\n".encode()
        )
    size = sum((tree / file).stat().st_size for file in files)
    return Distribution("unowned", files, size, digest.hexdigest())


def _make_portable(script: Path) -> bool:
    with script.open("rb") as file:
        first = file.readline(4096)
        second = file.readline(4096) if first == b"#!/bin/sh\n" else b""
        # Installers write a shell prologue of three lines where the interpreter's path is long.
        if second.startswith(b"'''exec'"):
            file.readline()
        elif not first.startswith(b"#!") or b"python" not in first or first == SHEBANG:
            return False
        rest = file.read()
    script.write_bytes(SHEBANG + rest)
    return True


def _set_mode(path: Path) -> None:
    mode = path.lstat().st_mode
    wanted = 0o755 if mode & stat.S_IXUSR else 0o644
    if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != wanted:
        path.chmod(wanted)


def _remove_traces(dist_info: Path) -> set[str]:
    names = [name for name in _UV_TRACES if (dist_info / name).exists()]
    origin = dist_info / "direct_url.json"
    if origin.exists() and json.loads(origin.read_text())["url"].startswith("file:"):
        names.append(origin.name)
    for name in names:
        (dist_info / name).unlink()
    return {f"{dist_info.name}/{name}" for name in names}
