"""An installed environment as layers: every large distribution its own, the others together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.install import install
from bentofn.packager.environment.machine import refuse_other_machines
from bentofn.packager.environment.pack import pack_environment
from bentofn.packager.environment.resolve import Lock
from bentofn.packager.environment.target import Target
from bentofn.packager.files import atomic_write, link_tree, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.layers import FAST, LayerFile, Packing
from bentofn.packager.roots.materialise import adopt_env, unpack_env
from bentofn.packager.slim.level import Slimming
from bentofn.packager.slim.tree import slim_tree
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import Saving, canonical_json


@dataclass(frozen=True)
class Environment:
    """A locked environment in the store.

    Args:
        layers: Its layers, the large distributions first.
        digest: Names it: what it was made from.
        slimmed: What is left out of it, by rule.
    """

    layers: tuple[Descriptor, ...]
    digest: str
    slimmed: tuple[Saving, ...] = ()

    def tree(self, home: Home) -> Path:
        """The environment as a folder, with some bytecode or none; unpacked if it was removed."""
        last = _last_bytecode(home, self.digest)
        return unpack_env(home, (*self.layers, *last))


def add_bytecode(
    home: Home, environment: Environment, bytecode: Descriptor, files: Sequence[LayerFile]
) -> None:
    """Make the tree of an environment with its bytecode, out of the tree without.

    Args:
        home: The home.
        environment: The environment.
        bytecode: Its bytecode layer.
        files: What that layer holds.
    """
    plain = unpack_env(home, environment.layers)
    with temporary_directory(home.directory(home.unpacked)) as scratch:
        tree = scratch / "env"
        link_tree(plain, tree)
        for file in files:
            target = tree / Path(file.path).relative_to(f"{ARCHIVE_PREFIX}/env")
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file.source, Path):
                shutil.copyfile(file.source, target)
        adopt_env(home, (*environment.layers, bytecode), tree)
    atomic_write(_bytecode_path(home, environment.digest), canonical_json(bytecode.to_json()))


def _last_bytecode(home: Home, digest: str) -> list[Descriptor]:
    try:
        found = Descriptor.from_json(json.loads(_bytecode_path(home, digest).read_bytes()))
    except (FileNotFoundError, ValueError, UserError):
        return []
    return [found] if Store(home).has(found.digest) else []


def _bytecode_path(home: Home, digest: str) -> Path:
    return home.cache / "envs" / f"{digest}.bytecode.json"


def environment_key(lock: Lock, target: Target, slimming: Slimming, packing: Packing = FAST) -> str:
    """Digest of what an environment is made from, in hex."""
    platform = [target.platform, target.wheels]
    return layer_key(
        "environment", lock.digest, target.python, platform, slimming.identity, packing.identity
    )


def find_environment(key: str, home: Home, store: Store) -> Environment | None:
    """The environment of a key, if the store still has all of it."""
    try:
        raw = json.loads(_path(home, key).read_bytes())
        layers = tuple(Descriptor.from_json(item) for item in raw["layers"])
        slimmed = tuple(Saving(**item) for item in raw["slimmed"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if all(store.has(layer.digest) for layer in layers):
        return Environment(layers, key, slimmed)
    return None


def make_environment(
    lock: Lock,
    settings: IndexSettings,
    target: Target,
    slimming: Slimming,
    packing: Packing,
    project: Path,
    home: Home,
    store: Store,
    report: Callable[[str], None],
    unslimmed: Path | None,
) -> Environment:
    """Install a lock, slim it and store it as layers, once for all builds that want it.

    Args:
        lock: What to install.
        settings: Where packages come from.
        target: What it is for.
        slimming: What is left out of it.
        packing: How hard its layers are compressed.
        project: The project's folder.
        home: The home.
        store: Its store.
        report: Told what is going on.
        unslimmed: A path on the home's disk, where the environment is left as it was before
            slimming; nothing comes there if it was made before, or is not slimmed. None: nowhere.

    Raises:
        UserError: A package cannot be had, or the disk is full.
    """
    key = environment_key(lock, target, slimming, packing)
    with home.lock(f"env-{key[:32]}", waiting=report):
        found = find_environment(key, home, store)
        if found is not None:
            return found
        with temporary_directory(home.directory(home.unpacked)) as scratch:
            tree = scratch / "env"
            report(f"Installing {len(lock.lines)} packages")
            install(lock, settings, target, tree, project, home)
            if target.is_foreign:
                _refuse_other_machines(tree, target)
            slimmed = _slim(tree, slimming, report, unslimmed)
            layers = tuple(pack_environment(tree, home, store, packing, report))
            adopt_env(home, layers, tree)
        home.directory(_path(home, key).parent)
        record = {
            "layers": [layer.to_json() for layer in layers],
            "slimmed": [asdict(saving) for saving in slimmed],
        }
        atomic_write(_path(home, key), canonical_json(record))
        return Environment(layers, key, slimmed)


def _slim(
    tree: Path, slimming: Slimming, report: Callable[[str], None], unslimmed: Path | None
) -> tuple[Saving, ...]:
    if slimming.level == "off":
        return ()
    if unslimmed is not None:
        link_tree(tree, unslimmed)  # slimming replaces files, and never writes into one
    report("Slimming the packages")
    return slim_tree(tree, slimming.strip)


def _refuse_other_machines(tree: Path, target: Target) -> None:
    files = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*.*")}
    remedy = "leave the package out, or list a wheel for that platform under python.wheels"
    refuse_other_machines(files, target.platform, remedy)


def _path(home: Home, key: str) -> Path:
    return home.cache / "envs" / f"{key}.json"
