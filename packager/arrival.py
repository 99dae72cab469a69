"""A bento that arrives from elsewhere: its manifest is read with suspicion, then it is added."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from bentofn.packager.layers.files import check_path
from bentofn.packager.parts import files_of, models_of
from bentofn.packager.store import Descriptor, Entry, Store, check_part
from bentofn.packager.store.blobs import digest_of
from bentofn.packager.store.descriptors import (
    BENTO_ARTIFACT,
    BENTO_CONFIG,
    LAYER_PATH,
    MANIFEST,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

MAX_MANIFEST = 4 << 20
"""Bytes of the largest manifest that registries take.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests
"""

MAX_CONFIG = 64 << 20
"""Bytes of a bento manifest, which holds a lock with hashes: more than any has, less than harms."""

MAX_LAYERS = 8192
"""Layers of a bento, most of them parts of models; more would not fit into a manifest."""

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class ArrivingBento:
    """A manifest of a bento whose blobs are not all in the store yet.

    Args:
        data: The manifest as it came.
        config: Its config.
        layers: Its layers, in order.
    """

    data: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def manifest(self) -> Descriptor:
        """The manifest's own descriptor."""
        digest = digest_of(self.data)
        return Descriptor(MANIFEST, digest, len(self.data))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What the manifest names, each digest once."""
        return tuple({blob.digest: blob for blob in (self.config, *self.layers)}.values())


def read_arriving(data: bytes, source: str) -> ArrivingBento:
    """Read a bento's OCI manifest.

    Args:
        data: The manifest, whose digest was checked.
        source: Where it comes from, for messages.

    Raises:
        UserError: It is no manifest of a bento, or breaks a limit.
    """
    try:
        raw: dict[str, Any] = json.loads(data)
        if raw.get("artifactType") != BENTO_ARTIFACT:
            raise UserError(
                f"{source} holds something else than a bento "
                f"({str(raw.get('artifactType') or raw.get('mediaType'))[:80]}); "
                "name one that bentofn wrote."
            )
        config = Descriptor.from_json(raw["config"])
        layers = tuple(Descriptor.from_json(layer) for layer in raw["layers"])
        _check(config, layers)
        for model in models_of(layers).values():
            files_of(model)
    except _MALFORMED as error:
        raise UserError(
            f"{source} holds a manifest that is not a bento's; export or push the bento again."
        ) from error
    return ArrivingBento(data, config, layers)


def read_arriving_config(data: bytes, source: str) -> BentoManifest:
    """Read an arriving bento's config, whose digest was checked.

    Raises:
        UserError: It is no bento manifest, of another schema, or its name breaks a rule.
    """
    try:
        bento = BentoManifest.from_json(data)
        check_part(bento.name)
        check_part(bento.version, "version")
    except _MALFORMED as error:
        raise UserError(
            f"{source} holds a bento without a readable manifest; export or push it again."
        ) from error
    return bento


def refuse_other(store: Store, bento: BentoManifest, manifest: Descriptor) -> Entry | None:
    """The entry that is there already with the same content, or None.

    Raises:
        UserError: The name and version are taken by other content, which must not be lost.
    """
    tag = f"{bento.name}:{bento.version}"
    found = store.find("bento", tag)
    if found is not None and found.digest != manifest.digest:
        raise UserError(
            f"There is another {tag} on this machine already; "
            f"delete it first with: bentofn delete {tag}."
        )
    return found


def add_arrived(
    store: Store, arriving: ArrivingBento, bento: BentoManifest, *, lazy: str = ""
) -> Entry:
    """Name a bento whose blobs are all in the store; one that is there stays as it is.

    Args:
        store: The store.
        arriving: The bento.
        bento: Its config.
        lazy: Where the blobs are that are not here yet.

    Raises:
        UserError: A blob is missing, the tag is taken by other content, or the disk is full.
    """
    found = refuse_other(store, bento, arriving.manifest)
    store.put_bytes(arriving.data, MANIFEST)
    if found is not None and (lazy or not found.lazy):
        return found
    now = datetime.now(timezone.utc)
    return store.add("bento", bento.name, bento.version, arriving.manifest, now, lazy=lazy)


def check_blobs(blobs: Iterable[Descriptor]) -> None:
    """Check what a manifest that arrived says of its blobs.

    Raises:
        ValueError: A size is negative or another for the same blob, or an annotation is no text.
    """
    sizes: dict[str, int] = {}
    for blob in blobs:
        if blob.size < 0 or sizes.setdefault(blob.digest, blob.size) != blob.size:
            raise ValueError("size")
        # Titles are shown on terminals, which take control characters for commands.
        if not all(isinstance(v, str) and v.isprintable() for v in blob.annotations.values()):
            raise ValueError("annotations")


def _check(config: Descriptor, layers: tuple[Descriptor, ...]) -> None:
    if config.media_type != BENTO_CONFIG or config.size > MAX_CONFIG:
        raise ValueError("config")
    if not layers or len(layers) > MAX_LAYERS:
        raise ValueError("layers")
    check_blobs((config, *layers))
    for blob in (config, *layers):
        if LAYER_PATH in blob.annotations:
            check_path(blob.annotations[LAYER_PATH])
