"""Push a bento to a registry, and pull one: only what the other side has not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bentofn.packager.arrival import (
    ArrivingBento,
    add_arrived,
    read_arriving,
    read_arriving_config,
    refuse_other,
)
from bentofn.packager.arriving_referrers import (
    NOTHING,
    ArrivingReferrer,
    Check,
    Fits,
    asked_for,
    read_arriving_referrer,
)
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.registry.at_once import move_blobs
from bentofn.packager.registry.blobs import (
    fetch_manifest,
    has_blob,
    send_blob,
    send_manifest,
)
from bentofn.packager.registry.credentials import Credentials, find_credentials
from bentofn.packager.registry.fetching import Fetch
from bentofn.packager.registry.reference import Reference
from bentofn.packager.registry.referrers import (
    add_to_fallback,
    fetch_referrers,
    list_referrers,
    send_referrer_manifest,
)
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Entry, LayerInfo, Store
from bentofn.packager.store.descriptors import BENTO_CONFIG, MANIFEST, PREFETCH
from bentofn.packager.store.manifests import read_blob
from bentofn.packager.store.referrers import add_referrer, referrers
from bentofn.packager.trust.kinds import name_of

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
        report: Told each file or layer that is sent.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        wait: Waits so many seconds between two attempts.

    Raises:
        UserError: There is no such bento, it is damaged, or the registry refuses or fails.
    """
    report = _once(report)
    entry = whole_bento(store, tag, report)
    reference = replace(reference, tag=reference.tag or entry.version)
    transport = transport_of(reference, "pull,push", insecure, wait)
    with store.using():
        data = read_blob(store.blobs, entry.digest, f"the manifest of {entry.tag}")
        blobs = read_arriving(data, entry.tag).blobs

        def send(blob: Descriptor) -> int:
            if has_blob(transport, blob.digest):
                return 0
            report(f"Pushing {_name(blob)}")
            send_blob(transport, store, blob)
            return blob.size

        moved = move_blobs(blobs, send)
        skipped = sum(blob.size for blob in blobs) - moved
        # By its digest first, so that under its tag nobody sees it without what refers to it.
        send_manifest(transport, entry.digest, data)
        moved += _push_referrers(transport, store, entry, str(reference), report)
        send_manifest(transport, str(reference.tag), data)
    return Transferred(entry, reference, moved, skipped)


def _push_referrers(
    transport: Transport, store: Store, entry: Entry, source: str, report: Report
) -> int:
    """Send what refers to a bento and is not listed there; returns the bytes of its blobs."""
    own = referrers(store, entry.digest)
    if not own:
        return 0
    listed = {str(raw.get("digest")) for raw in list_referrers(transport, entry.digest, source)}
    moved = 0
    unlisted = []
    for referrer in own:
        if referrer.manifest.digest in listed:
            continue
        data = read_blob(store.blobs, referrer.manifest.digest, referrer.artifact_type)
        report(f"Pushing {name_of(referrer.artifact_type)}")
        for blob in read_arriving_referrer(data, entry.digest, entry.tag).blobs:
            if not has_blob(transport, blob.digest):
                send_blob(transport, store, blob)
                moved += blob.size
        if not send_referrer_manifest(transport, referrer, data):
            unlisted.append(referrer)
    add_to_fallback(transport, entry.digest, unlisted, source)
    return moved


def pull(
    store: Store,
    reference: Reference,
    report: Report,
    *,
    insecure: bool = False,
    check: Check | None = None,
    lazy: bool = False,
    fits: Mapping[str, Fits] = NOTHING,
    wait: Wait = time.sleep,
) -> Transferred:
    """Fetch a bento from a registry; it keeps the name and version that it was built with.

    Args:
        store: The store.
        reference: Where from.
        report: Told each file or layer that is fetched.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        check: Refuses a bento by what refers to it, before its layers are fetched.
        lazy: Whether layers that can wait stay in the registry (:mod:`bentofn.packager.lazy`).
        fits: Which of the bento's snapshots and compiled code are fetched; else none is.
        wait: Waits so many seconds between two attempts.

    Raises:
        UserError: The registry refuses or fails, what it gives is no bento or has other bytes than
            it says, the bento's tag is taken by other content, or the disk is full.
    """
    report = _once(report)
    reference = replace(reference, tag=reference.tag or DEFAULT_TAG)
    source = str(reference)
    transport = transport_of(reference, "pull", insecure, wait)
    with store.using():
        arriving = read_arriving(fetch_manifest(transport, str(reference.tag), source), source)
        fetch = Fetch(transport, store, source)
        fetch.blob(arriving.config, lambda: report("Pulling the bento's manifest"))
        config = read_blob(store.blobs, arriving.config.digest, f"the config of {source}")
        bento = read_arriving_config(config, source)
        refuse_other(store, bento, arriving.manifest)
        arrived = fetch_referrers(transport, arriving.manifest.digest, source)
        if check is not None:
            good = check(arriving.manifest, [each.referrer for each in arrived], fetch.read)
            arrived = [each for each in arrived if each.referrer.manifest.digest in good]
        arrived = asked_for(arrived, arriving.manifest.digest, fits, fetch.read)
        if lazy:  # the others come with the rest
            arrived = [each for each in arrived if each.referrer.artifact_type == PREFETCH]
        for each in arrived:
            fetch.referrer(each, report)
        later = _later(fetch, arriving, arrived, report) if lazy else ()
        origin = _origin(reference, insecure) if later else ""
        rest = [b for b in arriving.blobs if b.digest != arriving.config.digest and b not in later]
        move_blobs(rest, lambda b: fetch.blob(b, partial(report, f"Pulling {_name(b)}")))
        entry = add_arrived(store, arriving, bento, lazy=origin)
        for each in arrived:
            store.put_bytes(each.data, MANIFEST)
            add_referrer(store, entry.digest, each.referrer)
    if later:
        from bentofn.packager.lazy.figures import Figures

        manifests = [arriving.data, *(each.data for each in arrived)]
        Figures.of(store.home, entry).pulled(fetch.moved + sum(map(len, manifests)))
    return Transferred(entry, reference, fetch.moved, fetch.skipped)


def _later(
    fetch: Fetch, arriving: ArrivingBento, arrived: Sequence[ArrivingReferrer], report: Report
) -> Sequence[Descriptor]:
    """The layers that may stay in the registry; their tables of contents are fetched."""
    from bentofn.packager.lazy.tables import fetch_table, later_layers
    from bentofn.packager.prefetch.artifact import early_parts
    from bentofn.packager.registry.ranges import NoRanges

    early = {digest for each in arrived for digest in early_parts(fetch.store, each.referrer)}
    layers = later_layers(fetch.store, arriving.layers)
    later = tuple(layer for layer in layers if layer.digest not in early)
    try:
        for layer in later:
            fetch.moved += fetch_table(fetch.transport, fetch.store, layer)
    except NoRanges as error:
        report(str(error))
        return ()
    return later


def _origin(reference: Reference, insecure: bool) -> str:
    from bentofn.packager.lazy.origin import Origin

    return str(Origin(reference, insecure))


def _name(blob: Descriptor) -> str:
    if blob.media_type == BENTO_CONFIG:
        return "the bento's manifest"
    return LayerInfo.of(blob).name


def _once(report: Report) -> Report:
    """Report each sentence once: the parts of a file have its name, and may be hundreds."""
    told: set[str] = set()
    telling = threading.Lock()

    def tell(sentence: str) -> None:
        with telling:
            if sentence in told:
                return
            told.add(sentence)
        report(sentence)

    return tell


def transport_of(
    reference: Reference,
    actions: str,
    insecure: bool,
    wait: Wait = time.sleep,
    also_pull: Sequence[str] = (),
    credentials: Credentials | None = None,
) -> Transport:
    """A repository, with the credentials for it.

    Args:
        reference: It.
        actions: ``pull``, or ``pull,push``.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        wait: Waits so many seconds between two attempts.
        also_pull: Repositories of the same registry that are read too.
        credentials: For the registry; None for what Docker's configuration has for it.

    Raises:
        UserError: The configuration or a credential helper is broken.
    """
    if credentials is None:
        credentials = find_credentials(reference.registry, os.environ)
    return Transport(
        reference, credentials, actions, insecure=insecure, wait=wait, also_pull=also_pull
    )
