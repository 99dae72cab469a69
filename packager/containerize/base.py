"""The base image: chosen for the bento's platform, its manifest and config read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bentofn.packager.arrival import MAX_LAYERS
from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.media import CONFIGS, INDEXES, MANIFESTS, layer_type
from bentofn.packager.containerize.places import Source, media_type_of
from bentofn.packager.registry.reference import Reference
from bentofn.packager.store import Descriptor
from bentofn.packager.store.blobs import digest_of
from bentofn.packager.store.descriptors import check_digest
from bentofn.runtime.errors import UserError

MAX_CONFIG = 8 << 20
"""Bytes of an image's config; real ones have some thousand."""

_NESTED = 3
"""Indexes in indexes."""

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Base:
    """An image that a bento is put on.

    Args:
        name: Where it comes from, for messages and labels.
        digest: Digest of its manifest.
        config: Its config.
        layers: Its layers, the lowest first.
        registry: The repository that it is in, if it is in one.
    """

    name: str
    digest: str
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    registry: Reference | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its containers start with."""
        settings: Mapping[str, Any] = self.config.get("config") or {}
        return settings

    @property
    def history(self) -> list[dict[str, Any]]:
        """An entry for each layer, and those that made none; made up where they do not fit."""
        given = [dict(item) for item in self.config.get("history") or ()]
        if sum(not item.get("empty_layer") for item in given) == len(self.layers):
            return given
        return [{"created_by": f"base image ({layer.diff_id})"} for layer in self.layers]


def read_base(source: Source, platform: str) -> Base:
    """Read the image of a source that is for a platform; its layers are not read yet.

    Args:
        source: Where it is.
        platform: OCI platform, such as ``linux/amd64``.

    Raises:
        UserError: There is none for the platform, or what is there is no image.
    """
    try:
        return _read(source, platform)
    except _MALFORMED as error:
        raise UserError(
            f"{source.name} is not a container image; name one that `docker pull` would take."
        ) from error


def _read(source: Source, platform: str) -> Base:
    data = source.top()
    document = json.loads(data)
    digest = digest_of(data)
    for _ in range(_NESTED):
        if media_type_of(document) not in INDEXES:
            break
        chosen = _choose(document, platform, source.name)
        digest = chosen.digest
        document = json.loads(source.document(chosen))
    if media_type_of(document) not in MANIFESTS:
        raise ValueError("no manifest")
    return _image(source, digest, document, platform)


def _image(source: Source, digest: str, manifest: Mapping[str, Any], platform: str) -> Base:
    described = Descriptor.from_json(manifest["config"])
    if described.media_type not in CONFIGS or described.size > MAX_CONFIG:
        raise UserError(
            f"{source.name} is no container image but {described.media_type or 'something else'}; "
            "name an image that has an operating system and Python."
        )
    config = json.loads(source.blob(described).read())
    _check_platform(config, platform, source.name)
    diff_ids = [check_digest(each) for each in config["rootfs"]["diff_ids"]]
    blobs = [Descriptor.from_json(raw) for raw in manifest["layers"]]
    if len(diff_ids) != len(blobs) or len(blobs) > MAX_LAYERS or not _sane(config):
        raise ValueError("layers")
    layers = tuple(
        _layer(source, blob, diff_id) for blob, diff_id in zip(blobs, diff_ids, strict=True)
    )
    return Base(source.name, digest, config, layers, source.registry)


def _layer(source: Source, blob: Descriptor, diff_id: str) -> Layer:
    media_type = layer_type(blob.media_type)
    if media_type is None:
        raise UserError(
            f"{source.name} has a layer of the type {blob.media_type}, which may not be copied or "
            "is not known; use another base image."
        )
    kept = replace(blob, media_type=media_type)
    return Layer(source.blob(kept), diff_id, "")


def _sane(config: Mapping[str, Any]) -> bool:
    settings = config.get("config") or {}
    env = settings.get("Env") or []
    labels = settings.get("Labels") or {}
    return (
        all(isinstance(item, str) for item in env)
        and isinstance(labels, dict)
        and all(isinstance(item, dict) for item in config.get("history") or [])
    )


def _choose(index: Mapping[str, Any], platform: str, name: str) -> Descriptor:
    """The first image of an index for a platform; attestations are for ``unknown/unknown``."""
    entries = [(_platform(raw.get("platform") or {}), raw) for raw in index["manifests"]]
    for found, raw in entries:
        if found == platform:
            return Descriptor.from_json(raw)
    known = sorted({found for found, _ in entries if "unknown" not in found and found != "/"})
    has = f"it has {', '.join(known)}" if known else "it names no platform"
    raise UserError(
        f"{name} has no image for {platform}, which the bento was built for; {has}: "
        "name another base image with --base, or build the bento for another platform."
    )


def _check_platform(config: Mapping[str, Any], platform: str, name: str) -> None:
    found = _platform(config)
    if found != platform:
        raise UserError(
            f"{name} is for {found} and the bento for {platform}; "
            "name another base image with --base, or build the bento for that platform."
        )


def _platform(raw: Mapping[str, Any]) -> str:
    return f"{raw.get('os', '')}/{raw.get('architecture', '')}"
