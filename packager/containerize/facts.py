"""What must be known of a base image before a bento is put on it, read once a base."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.containerize.base import Base
from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.tree import Tree, read_tree
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

FACTS_RULES = 2
"""Raised when the same base would give other facts."""

_USUAL = ("usr/local/bin", "usr/bin", "bin", "opt/venv/bin")
_PYTHON = re.compile(r"(?:.*/)?bin/python(3\.\d+)")
_LIBRARIES = ("lib", "lib64")
_WHOLE = ("os.py", "asyncio/__init__.py", "json/__init__.py", "ssl.py")
"""Modules that a bento imports; Debian's python3-minimal has only the first."""


@dataclass(frozen=True)
class Facts:
    """What a base image has.

    Args:
        python: The interpreter of the wanted minor version, absolute; None if there is none.
        whole: Whether its standard library is there as well.
        pythons: The minor versions that are there.
        libc: ``glibc``, ``musl`` or empty.
        passwd: Its ``/etc/passwd``.
        group: Its ``/etc/group``.
    """

    python: str | None
    whole: bool
    pythons: tuple[str, ...]
    libc: str
    passwd: str
    group: str


def find_facts(base: Base, above: Sequence[Layer], python: str, home: Home) -> Facts:
    """Read a base's facts, or remember them.

    Args:
        base: The base; its layers are fetched if they are not here.
        above: Layers of system packages on top of it.
        python: The minor version that is wanted.
        home: Where facts are remembered.

    Raises:
        UserError: A layer is damaged or cannot be had.
    """
    layers = (*base.layers, *above)
    inputs = [FACTS_RULES, base.digest, [layer.diff_id for layer in layers], python]
    key = hashlib.sha256(canonical_json(inputs)).hexdigest()
    path = home.cache / "bases" / f"{key}.json"
    found = _remembered(path)
    if found is None:
        found = facts_of(read_tree(layers, base.name), python, _path(base))
        home.directory(path.parent)
        atomic_write(path, canonical_json(found))
    return found


def facts_of(tree: Tree, python: str, path: tuple[str, ...]) -> Facts:
    """Read the facts from an image's files.

    Args:
        tree: Its files.
        python: The minor version that is wanted.
        path: The folders of its PATH.
    """
    interpreter, whole = _interpreter(tree, python, path)
    found = (match[1] for match in map(_PYTHON.fullmatch, tree.nodes) if match)
    return Facts(
        python=interpreter,
        whole=whole,
        pythons=tuple(sorted(set(found), key=lambda minor: int(minor.partition(".")[2]))),
        libc=_libc(tree),
        passwd=_text(tree, "etc/passwd"),
        group=_text(tree, "etc/group"),
    )


def usual_base(python: str) -> str:
    """A base that will do, and where it is said: when a bento is built or put on it.

    Args:
        python: The minor version that the bento was built for.
    """
    return f"python:{python}-slim (docker.base_image of the bento, or --base of containerize)"


def check_facts(facts: Facts, base: str, python: str, *, native: bool) -> str:
    """The interpreter to start a bento with.

    Args:
        facts: The base's.
        base: Its name, for messages.
        python: The minor version that the bento was built for.
        native: Whether the bento holds native libraries, which need glibc.

    Raises:
        UserError: The bento cannot run on this base.
    """
    instead = f"use a base that has it, such as {usual_base(python)}"
    if facts.python is None:
        has = f"has Python {' and '.join(facts.pythons)}" if facts.pythons else "has no Python"
        raise UserError(f"{base} {has}, and the bento needs Python {python}; {instead}.")
    if not facts.whole:
        raise UserError(
            f"{base} has {facts.python} without the whole standard library of Python {python} "
            f"(Debian's python3-minimal is a part of it); {instead}."
        )
    if native and facts.libc == "musl":
        raise UserError(
            f"{base} has the C library musl (as Alpine has), and the bento's packages hold native "
            f"libraries for glibc; {instead}."
        )
    return facts.python


def _interpreter(tree: Tree, python: str, path: tuple[str, ...]) -> tuple[str | None, bool]:
    partial: str | None = None
    for candidate in _candidates(tree, python, path):
        real = tree.file(candidate)
        if real is None or not tree.nodes[real].mode & 0o111:
            continue
        if _has_library(tree, candidate, python) or _has_library(tree, real, python):
            return f"/{candidate}", True
        partial = partial or f"/{candidate}"
    return partial, False


def _candidates(tree: Tree, python: str, path: tuple[str, ...]) -> Iterator[str]:
    name = f"python{python}"
    usual = [f"{folder}/{name}" for folder in dict.fromkeys((*path, *_USUAL))]
    yield from usual
    yield from sorted(each for each in tree.nodes if each.endswith(f"/bin/{name}"))


def _has_library(tree: Tree, interpreter: str, python: str) -> bool:
    prefix = interpreter.rpartition("/bin/")[0]
    return any(
        all(tree.file(f"{prefix}/{library}/python{python}/{name}") for name in _WHOLE)
        for library in _LIBRARIES
    )


def _libc(tree: Tree) -> str:
    names = {node.rpartition("/")[2] for node in tree.nodes}
    if any(name.startswith("ld-linux") for name in names):
        return "glibc"
    return "musl" if any(name.startswith("ld-musl-") for name in names) else ""


def _text(tree: Tree, path: str) -> str:
    return (tree.content(path) or b"").decode(errors="replace")


def _path(base: Base) -> tuple[str, ...]:
    for item in base.settings.get("Env") or ():
        name, _, value = str(item).partition("=")
        if name == "PATH":
            return tuple(folder.strip("/") for folder in value.split(":") if folder.strip("/"))
    return ()


def _remembered(path: Path) -> Facts | None:
    try:
        raw = json.loads(path.read_bytes())
        return Facts(**{**raw, "pythons": tuple(raw["pythons"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
