"""Writes an image as `docker save` does, so that `docker load` and `podman load` take it.

The layers are plain archives in it: what every version of Docker reads.
https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.containerize.blob import Layer, bytes_blob
from bentofn.packager.containerize.image import Image
from bentofn.packager.containerize.layout import add, refuse_existing
from bentofn.packager.containerize.names import full_name
from bentofn.packager.containerize.plain import plain_chunks
from bentofn.packager.containerize.tarball import END
from bentofn.packager.files import make_directory, publish, temporary_file, writing
from bentofn.runtime.manifest import canonical_json


def write_docker_archive(
    image: Image, target: Path, tags: Sequence[str], *, force: bool = False
) -> None:
    """Write an image as one file; the same image gives the same bytes.

    Args:
        image: The image.
        target: The file.
        tags: Its names, such as ``greeter:1``.
        force: Whether to replace what stands there.

    Raises:
        UserError: Something stands there, a blob cannot be had, or the disk is full.
    """
    refuse_existing(target, force=force)
    config = f"{image.config.descriptor.digest.removeprefix('sha256:')}.json"
    layers = {layer.diff_id: layer for layer in image.layers}
    manifest = [
        {
            "Config": config,
            "RepoTags": [full_name(tag) for tag in tags],
            "Layers": [_name(layer) for layer in image.layers],
        }
    ]
    with writing(target.parent), temporary_file(make_directory(target.parent)) as temporary:
        # First, so that a reader of a stream knows what comes.
        add(temporary.file, "manifest.json", bytes_blob(canonical_json(manifest), ""))
        add(temporary.file, config, image.config)
        for layer in layers.values():
            _add_plain(temporary.file, layer)
        temporary.file.write(END)
        publish(temporary, target)


def _add_plain(file: BinaryIO, layer: Layer) -> None:
    """Add a layer's archive; its size is only known, and written, when it has been unpacked."""
    start = file.tell()
    info = tarfile.TarInfo(_name(layer))
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    for chunk in plain_chunks(layer):
        info.size += len(chunk)
        file.write(chunk)
    file.write(b"\0" * (-info.size % tarfile.BLOCKSIZE))
    end = file.tell()
    file.seek(start)
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    file.seek(end)


def _name(layer: Layer) -> str:
    return f"{layer.diff_id.removeprefix('sha256:')}.tar"
