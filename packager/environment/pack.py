"""Which layers an installed environment becomes, so that a change of one package ships little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.environment.install import distributions
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers import LayerFile, Packing, put_chunked
from bentofn.packager.layers.chunked import GATHERED
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.layout import ARCHIVE_PREFIX

LARGE = 50_000_000
"""Bytes above which a distribution gets layers of its own: a layer is the unit that a registry
and a host keep, and nothing of a large wheel is shared between its versions."""

MANY = 5_000_000
"""Bytes of small files above which a large distribution has a layer for those too."""


@dataclass(frozen=True)
class Group:
    """The files of one layer.

    Args:
        title: The layer's name.
        owners: Name and digest of each distribution that files are of.
        files: Size by path, relative to the environment.
        gather: Whether they are small and share frames.
    """

    title: str
    owners: tuple[tuple[str, str], ...]
    files: dict[str, int]
    gather: bool


def pack_environment(
    tree: Path, home: Home, store: Store, packing: Packing, report: Callable[[str], None]
) -> list[Descriptor]:
    """Write an environment's layers.

    Args:
        tree: The environment.
        home: The home.
        store: Its store.
        packing: How hard to compress.
        report: Told what is going on.

    Raises:
        UserError: The disk is full.
    """
    layers = []
    for group in groups(tree):
        report(f"Packing {group.title} ({sum(group.files.values()) / 1e6:.0f} MB)")
        layers.append(_layer(tree, group, home, store, packing))
    return layers


def groups(tree: Path) -> Iterator[Group]:
    """The layers that an environment becomes.

    Large files, nearly all of them native libraries, are apart from the small ones, which share
    frames: so the small ones compress well, and podman can fetch pieces of the large ones.
    """
    rest: dict[str, int] = {}
    owners: list[tuple[str, str]] = []
    for dist in distributions(tree):
        owner = (dist.name, dist.digest)
        sizes = {file: (tree / file).stat().st_size for file in dist.files}
        if dist.size > LARGE and dist.name != "unowned":
            large, small = _split(sizes)
            if large:
                yield Group(f"{dist.name}.libs", (owner,), large, gather=False)
            if sum(small.values()) > MANY:
                yield Group(dist.name, (owner,), small, gather=True)
                continue
            sizes = small
        rest.update(sizes)
        owners.append(owner)
    large, small = _split(rest)
    if large:
        yield Group("packages.libs", tuple(owners), large, gather=False)
    if small:
        yield Group("packages", tuple(owners), small, gather=True)


def _split(sizes: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    large = {file: size for file, size in sizes.items() if size >= GATHERED}
    return large, {file: size for file, size in sizes.items() if size < GATHERED}


def _layer(tree: Path, group: Group, home: Home, store: Store, packing: Packing) -> Descriptor:
    def write() -> Descriptor:
        files = list(_entries(tree, group.files))
        return put_chunked(
            store, files, kind="env", title=group.title, packing=packing, gather=group.gather
        )

    key = layer_key("env", group.title, group.owners, packing.identity, GATHERED)
    return cached_layer(home, store, key, write)


def _entries(tree: Path, files: Iterable[str]) -> Iterator[LayerFile]:
    for file in files:
        executable = bool((tree / file).stat().st_mode & 0o100)
        yield LayerFile(f"{ARCHIVE_PREFIX}/env/{file}", tree / file, executable)
