"""Sends an image to a registry: only what is not there, and nothing that it can take itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bentofn.packager.containerize.blob import Blob
from bentofn.packager.containerize.image import Image
from bentofn.packager.registry.blobs import has_blob, mount_blob, send_chunks, send_manifest
from bentofn.packager.registry.credentials import Credentials
from bentofn.packager.registry.reference import Reference
from bentofn.packager.registry.transfer import transport_of
from bentofn.packager.registry.transport import Transport

Report = Callable[[str], None]
Wait = Callable[[float], None]


@dataclass(frozen=True)
class Pushed:
    """What a push did, in bytes.

    Args:
        moved: Of the blobs that were sent.
        mounted: Of those that the registry took from another of its repositories.
        skipped: Of those that were there.
    """

    moved: int = 0
    mounted: int = 0
    skipped: int = 0


def push_image(
    image: Image,
    reference: Reference,
    tags: Sequence[str],
    report: Report,
    *,
    insecure: bool = False,
    credentials: Credentials | None = None,
    wait: Wait = time.sleep,
) -> Pushed:
    """Send an image.

    Args:
        image: The image.
        reference: The repository.
        tags: The tags that it gets there.
        report: Told each blob that is sent.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        credentials: For the registry; None for what Docker's configuration has for it.
        wait: Waits so many seconds between two attempts.

    Raises:
        UserError: The registry refuses or fails, or a blob cannot be had.
    """
    done = Pushed()
    mounts = {
        digest: origin.repository
        for digest, origin in image.mounts.items()
        if origin.registry == reference.registry and origin.repository != reference.repository
    }
    transport = transport_of(
        reference,
        "pull,push",
        insecure,
        wait,
        also_pull=sorted(set(mounts.values())),
        credentials=credentials,
    )
    names = {
        layer.blob.descriptor.digest: layer.created_by or "a layer of the base image"
        for layer in image.layers
    }
    for blob in image.blobs:
        digest = blob.descriptor.digest
        name = names.get(digest, "the image's config")
        done = _send(transport, blob, name, mounts.get(digest), done, report)
    for tag in tags:
        send_manifest(transport, tag, image.manifest.read())
    return done


def _send(
    transport: Transport,
    blob: Blob,
    name: str,
    origin: str | None,
    done: Pushed,
    report: Report,
) -> Pushed:
    descriptor = blob.descriptor
    if has_blob(transport, descriptor.digest):
        return replace(done, skipped=done.skipped + descriptor.size)
    if origin is not None and mount_blob(transport, descriptor.digest, origin):
        return replace(done, mounted=done.mounted + descriptor.size)
    report(f"Pushing {name}")
    send_chunks(transport, descriptor, blob.chunks)
    return replace(done, moved=done.moved + descriptor.size)
