"""Read a few files out of a stored layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from bentofn.packager.layers.chunk import read_chunk
from bentofn.packager.layers.stream import (
    UNREADABLE,
    DamagedLayer,
    HashingReader,
    bounded,
    decompressor,
    open_archive,
)
from bentofn.packager.layers.toc import read_toc, toc_position
from bentofn.packager.store import Descriptor, Store

MOST = 16 << 20
"""Bytes of the largest file that is picked."""


def pick_files(store: Store, layer: Descriptor, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The content of some regular files of a layer, by path.

    Of a layer with a table of contents only their frames are read; each is checked.

    Args:
        store: The store.
        layer: A tar archive in it.
        wanted: Whether a path is wanted; files above :data:`MOST` are not given.

    Raises:
        DamagedLayer: The blob is missing, or no archive.
        UserError: Its table of contents is damaged or lies.
    """
    try:
        with store.blob_path(layer.digest).open("rb") as file:
            place = toc_position(layer)
            if place is None:
                return _from_archive(file, layer, wanted)
            return _from_table(file, place, wanted)
    except (FileNotFoundError, *UNREADABLE) as error:
        raise DamagedLayer(f"{layer.digest}: {error}") from error


def _from_table(
    file: BinaryIO, place: tuple[int, int, str], wanted: Callable[[str], bool]
) -> dict[str, bytes]:
    offset, length, checksum = place
    file.seek(offset)
    found = {}
    for entry in read_toc(file.read(length), checksum).entries:
        if entry.kind != "file" or entry.size > MOST or not wanted(entry.path):
            continue
        content = b""
        for chunk in entry.chunks:
            file.seek(chunk.offset)
            content += read_chunk(file.read(chunk.end - chunk.offset), chunk)
        found[entry.path] = content
    return found


def _from_archive(
    file: BinaryIO, layer: Descriptor, wanted: Callable[[str], bool]
) -> dict[str, bytes]:
    found = {}
    with open_archive(decompressor(HashingReader(file), layer.media_type)) as archive:
        for info in bounded(archive):
            if info.isreg() and info.size <= MOST and wanted(info.name):
                content = archive.extractfile(info)
                found[info.name] = content.read() if content else b""
    return found
