"""Push a bento to a registry, and pull one: only what the other side has not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bentofn.packager.arrival import (
    add_arrived,
    read_arriving,
    read_arriving_config,
    refuse_other,
)
from bentofn.packager.registry.blobs import (
    fetch_blob,
    fetch_manifest,
    has_blob,
    send_blob,
    send_manifest,
)
from bentofn.packager.registry.credentials import find_credentials
from bentofn.packager.registry.reference import Reference
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Entry, LayerInfo, Store
from bentofn.packager.store.descriptors import BENTO_CONFIG
from bentofn.packager.store.manifests import read_blob

Report = Callable[[str], None]
Wait = Callable[[float], None]

DEFAULT_TAG = "latest"
"""What a pull without a tag asks for, as Docker does."""


@dataclass(frozen=True)
class Transferred:
    """What a push or a pull did.

    Args:
        entry: The bento.
        reference: Where it stands in the registry.
        moved: Bytes of the blobs that were sent or fetched.
        skipped: Bytes of the blobs that were there already.
    """

    entry: Entry
    reference: Reference
    moved: int
    skipped: int


def push(
    store: Store,
    tag: str,
    reference: Reference,
    report: Report,
    *,
    insecure: bool = False,
    wait: Wait = time.sleep,
) -> Transferred:
    """Send a bento to a registry.

    Args:
        store: The store.
        tag: ``name``, ``name:version`` or ``name:latest``.
        reference: Where to; without a tag, the bento's version is the tag.
        report: Told each blob that is sent.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        wait: Waits so many seconds between two attempts.

    Raises:
        UserError: There is no such bento, it is damaged, or the registry refuses or fails.
    """
    entry = store.get("bento", tag)
    reference = replace(reference, tag=reference.tag or entry.version)
    transport = _transport(reference, "pull,push", insecure, wait)
    with store.using():
        data = read_blob(store.blobs, entry.digest, f"the manifest of {entry.tag}")
        moved = skipped = 0
        for blob in read_arriving(data, entry.tag).blobs:
            if has_blob(transport, blob.digest):
                skipped += blob.size
                continue
            report(f"Pushing {_name(blob)}")
            send_blob(transport, store, blob)
            moved += blob.size
        send_manifest(transport, str(reference.tag), data)
    return Transferred(entry, reference, moved, skipped)


def pull(
    store: Store,
    reference: Reference,
    report: Report,
    *,
    insecure: bool = False,
    wait: Wait = time.sleep,
) -> Transferred:
    """Fetch a bento from a registry; it keeps the name and version that it was built with.

    Args:
        store: The store.
        reference: Where from.
        report: Told each blob that is fetched.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        wait: Waits so many seconds between two attempts.

    Raises:
        UserError: The registry refuses or fails, what it gives is no bento or has other bytes than
            it says, the bento's tag is taken by other content, or the disk is full.
    """
    reference = replace(reference, tag=reference.tag or DEFAULT_TAG)
    source = str(reference)
    transport = _transport(reference, "pull", insecure, wait)
    with store.using():
        arriving = read_arriving(fetch_manifest(transport, str(reference.tag), source), source)
        moved = skipped = 0
        bento = None
        for blob in arriving.blobs:
            if store.blobs.has_whole(blob.digest, blob.size):
                skipped += blob.size
            else:
                report(f"Pulling {_name(blob)}")
                fetch_blob(transport, store, blob, source)
                moved += blob.size
            if bento is None:  # the config is the first
                config = read_blob(store.blobs, arriving.config.digest, f"the config of {source}")
                bento = read_arriving_config(config, source)
                refuse_other(store, bento, arriving.manifest)
        assert bento is not None
        entry = add_arrived(store, arriving, bento)
    return Transferred(entry, reference, moved, skipped)


def _name(blob: Descriptor) -> str:
    return "the bento's manifest" if blob.media_type == BENTO_CONFIG else LayerInfo.of(blob).name


def _transport(reference: Reference, actions: str, insecure: bool, wait: Wait) -> Transport:
    credentials = find_credentials(reference.registry, os.environ)
    return Transport(reference, credentials, actions, insecure=insecure, wait=wait)
