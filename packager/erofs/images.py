"""EROFS images of trees, made once from their layers, and checked before they are mounted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentofn.packager.erofs.ondisk import BLOCK, check_superblock
from bentofn.packager.erofs.writer import ImageWriter
from bentofn.packager.files import atomic_write, temporary_file, writing
from bentofn.packager.home import Home
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.layers.unpack import read_layer
from bentofn.packager.roots.trees import Tree, damaged_layer
from bentofn.packager.store import Store

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def image_path(home: Home, key: str) -> Path:
    """Where the image of a tree stands, or would stand."""
    return home.images / f"{key}.erofs"


def make_image(home: Home, store: Store, tree: Tree) -> Path:
    """Make sure of the image of a tree, whose lock the caller holds.

    Like an unpacked tree it can be made again, so it is not flushed to the disk. What a crash of
    the machine may have left of it is checked once, by its digest, the first time that it is wanted
    after that; else its size and its superblock are.

    Args:
        home: The home.
        store: Its store.
        tree: The tree; one without files that are kept as they are.

    Raises:
        UserError: A layer is damaged or not safe to unpack, or the disk is full.
    """
    image = image_path(home, tree.key)
    if not _is_whole(image):
        _write(home, store, tree, image)
    return image


def image_keys(home: Home) -> list[str]:
    """The trees of which there are images, or notes of images."""
    files = home.images.iterdir() if home.images.is_dir() else ()
    return sorted({file.stem for file in files if not file.name.startswith(".")})


def remove_image(home: Home, key: str) -> None:
    """Remove the image of a tree; whoever has it mounted keeps it."""
    image = image_path(home, key)
    image.unlink(missing_ok=True)
    _note(image).unlink(missing_ok=True)


def _write(home: Home, store: Store, tree: Tree, image: Path) -> None:
    directory = home.directory(home.images)
    with temporary_file(directory) as temporary, writing(directory):
        writer = ImageWriter(temporary.file)
        for layer in tree.archives:
            blob = store.blob_path(layer.digest)
            try:
                read_layer(blob, layer.media_type, layer.digest, tree.prefix, writer)
            except DamagedLayer as error:
                raise damaged_layer(store, layer, tree.remedy) from error
        writer.finish()
        temporary.file.flush()
        temporary.path.chmod(0o444)
        _remember(image, temporary.path)
        temporary.path.replace(image)


def _is_whole(image: Path) -> bool:
    try:
        with image.open("rb") as file:
            superblock = file.read(BLOCK)
        note: Mapping[str, Any] = json.loads(_note(image).read_bytes())
        if not check_superblock(superblock, image.stat().st_size):
            return False
        if note["boot"] == _boot():
            return True
        if note["digest"] != _digest(image):
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    _remember(image, image)
    return True


def _remember(image: Path, content: Path) -> None:
    note = {"digest": _digest(content), "boot": _boot()}
    atomic_write(_note(image), json.dumps(note).encode())


def _note(image: Path) -> Path:
    return image.with_suffix(".json")


def _digest(image: Path) -> str:
    from blake3 import blake3

    return f"blake3:{blake3().update_mmap(image).hexdigest()}"


def _boot() -> str:
    """Which start of the machine this is: what was written since is in its memory at least."""
    return _BOOT_ID.read_text().strip()
