"""What a service says that must be known before its packages are chosen.

Its image, which says the packages, and the names of BentoML that it uses. Both are remembered by
the digest of the project's files, so that a project that did not change is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bentofn.packager.code.sources import HashedTree
from bentofn.packager.config.image_options import ImageSpec
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.runtime.manifest import canonical_json


@dataclass(frozen=True)
class Declared:
    """What a service says before its packages are there.

    Args:
        image: Its image; None if it says nothing of one.
        gpu: Whether its resources name a GPU; None where nobody looked.
        models: Tags and sources of the models that it declares.
        missing: Names of BentoML that it uses and bentofn does not carry.
        needs: Requirements of the runtime for what its code names.
        loaded: Tags of the models that its code names where it loads them.
        stand_ins: Packages that were not there when it was imported.
        trouble: Why it could not be imported; None if it could.
    """

    image: ImageSpec | None = None
    gpu: bool | None = None
    models: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    trouble: str | None = None

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Declared:
        """The inverse of :func:`dataclasses.asdict`, of what :mod:`json` gives back."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()
        }
        if values["image"] is not None:
            values["image"] = ImageSpec.from_plain(values["image"])
        return cls(**values)


def declared(
    project: Path,
    source_root: str,
    service: str,
    tree: HashedTree,
    envs: Mapping[str, str],
    version: str,
    home: Home,
) -> Declared:
    """Read what a service says before its packages are there.

    Args:
        project: The project's folder.
        source_root: Folder of it that is imported from; ``""`` for itself.
        service: ``module:Class`` or ``file.py:Class``, relative to that.
        tree: The project's files.
        envs: The environment variables of the bento, its arguments among them.
        version: Digest of the runtime, which decides what is carried.
        home: Where the answer is remembered.

    Raises:
        UserError: Its image cannot be made.
    """
    found = recall(home, layer_key("declared", tree.digest, service, envs, version))
    if found is not None:
        return found
    # Reading and importing code needs modules that an unchanged build does without.
    from bentofn.packager.code.declaring import look

    found = look(project, source_root, service, tree, envs, version, home)
    keep(home, layer_key("declared", tree.digest, service, envs, version), found)
    return found


def recall(home: Home, key: str) -> Declared | None:
    """What was remembered under a key."""
    try:
        return Declared.from_plain(json.loads(_path(home, key).read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def keep(home: Home, key: str, found: Declared) -> None:
    """Remember what was found under a key."""
    path = _path(home, key)
    home.directory(path.parent)
    atomic_write(path, canonical_json(asdict(found)))


def _path(home: Home, key: str) -> Path:
    return home.cache / "declared" / f"{key}.json"
