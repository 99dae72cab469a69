"""Writes an image as an OCI layout: a folder, or a tar of one."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from bentofn.packager.containerize.blob import Blob, bytes_blob
from bentofn.packager.containerize.image import Image, described
from bentofn.packager.containerize.tarball import END
from bentofn.packager.files import (
    atomic_write,
    make_directory,
    publish,
    temporary_file,
    writing,
)
from bentofn.packager.store import Descriptor
from bentofn.packager.store.descriptors import INDEX, REF_NAME
from bentofn.packager.store.index import read_index, write_index
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def write_layout(image: Image, target: Path, tags: Sequence[str], *, force: bool = False) -> None:
    """Add an image to a layout, which is made if there is none; its other images stay.

    Args:
        image: The image.
        target: The folder.
        tags: The image's names in the layout.
        force: Whether a name that another image has is taken from it.

    Raises:
        UserError: The folder holds something else, a name is taken, a blob cannot be had, or the
            disk is full.
    """
    marker = target / "oci-layout"
    if target.exists() and not marker.is_file() and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target} is there already and no OCI layout; choose another folder.")
    others = _others(target / "index.json", image, tags, force=force)
    folder = make_directory(target / "blobs" / "sha256")
    for blob in (*image.blobs, image.manifest):
        _write_blob(blob, folder)
    atomic_write(marker, _LAYOUT)
    # The index last: whoever reads the layout meanwhile finds what it names.
    entries = [described(image, tag).to_json() for tag in tags]
    write_index(target / "index.json", [*others, *entries])


def write_oci_archive(
    image: Image, target: Path, tags: Sequence[str], *, force: bool = False
) -> None:
    """Write an image as a tar of an OCI layout; the same image gives the same bytes.

    Args:
        image: The image.
        target: The file.
        tags: The image's names.
        force: Whether to replace what stands there.

    Raises:
        UserError: Something stands there, a blob cannot be had, or the disk is full.
    """
    entries = [described(image, tag).to_json() for tag in tags]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    refuse_existing(target, force=force)
    with writing(target.parent), temporary_file(make_directory(target.parent)) as temporary:
        add(temporary.file, "oci-layout", bytes_blob(_LAYOUT, ""))
        add(temporary.file, "index.json", bytes_blob(canonical_json(index), ""))
        for blob in (image.manifest, *image.blobs):
            add(temporary.file, f"blobs/sha256/{_hex(blob)}", blob)
        temporary.file.write(END)
        publish(temporary, target)


def refuse_existing(target: Path, *, force: bool) -> None:
    """Make sure that nothing is lost by writing a file.

    Raises:
        UserError: Something stands there.
    """
    if target.is_dir() or (target.exists() and not force):
        raise UserError(f"{target} is there already; choose another name, or use --force.")


def add(file: BinaryIO, name: str, blob: Blob) -> None:
    """Add a blob to a tar."""
    info = tarfile.TarInfo(name)
    info.size = blob.descriptor.size
    # GNU's format has sizes over 8 GiB and needs no extended headers.
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    for chunk in blob.chunks():
        file.write(chunk)
    file.write(b"\0" * (-info.size % tarfile.BLOCKSIZE))


def _write_blob(blob: Blob, folder: Path) -> None:
    target = folder / _hex(blob)
    if target.is_file() and target.stat().st_size == blob.descriptor.size:
        return
    with temporary_file(folder) as temporary:
        for chunk in blob.chunks():
            temporary.file.write(chunk)
        publish(temporary, target)


def _others(index: Path, image: Image, tags: Sequence[str], *, force: bool) -> list[dict[str, Any]]:
    """The entries of an index that stay."""
    kept = []
    for raw in read_index(index):
        entry = Descriptor.from_json(raw)
        if entry.annotations.get(REF_NAME) not in tags:
            kept.append(raw)
        elif entry.digest != image.digest and not force:
            raise UserError(
                f"{index.parent} has another image {entry.annotations[REF_NAME]} already; "
                "choose another name, or use --force."
            )
    return kept


def _hex(blob: Blob) -> str:
    return blob.descriptor.digest.removeprefix("sha256:")
