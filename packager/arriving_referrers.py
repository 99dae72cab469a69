"""What refers to a bento, arriving with it from elsewhere: read with suspicion, as the bento is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bentofn.packager.arrival import check_blobs
from bentofn.packager.store import Descriptor
from bentofn.packager.store.blobs import digest_of
from bentofn.packager.store.descriptors import (
    BENTO_ARTIFACT,
    COMPILED,
    MANIFEST,
    MODEL_ARTIFACT,
    SNAPSHOT,
)
from bentofn.packager.store.referrers import Referrer
from bentofn.runtime.errors import UserError

MAX_REFERRERS = 64
"""Referrers of a bento that are taken; a build makes a handful."""

MAX_REFERRER_BLOBS = 16
"""Blobs of one referrer."""

MAX_REFERRER_SIZE = 4 << 30
"""Bytes of all referrers of a bento together, but those that are only taken where they fit. The
largest holds the hot pages of an environment."""

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}")  # RFC 6838, section 4.2
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

Read = Callable[[Descriptor], bytes]
"""Gives the content of a small blob that was checked against its digest."""

Check = Callable[[Descriptor, Sequence[Referrer], Read], frozenset[str]]
"""Refuses a bento, by its manifest and what refers to it, before it gets a name; else gives the
digests of the manifests that may come with it."""

Fits = Callable[[Referrer, Read, str], bool]
"""Whether a snapshot, or the compiled code, of the bento that arrives, whose digest is given, is of
use here."""

NOTHING: Mapping[str, Fits] = MappingProxyType({})
"""Who asks for none of it."""

_ON_REQUEST = (SNAPSHOT, COMPILED)
"""What is only taken by who asked for it: it runs, and the bento's digest does not say what it
holds. Whoever may write to the repository can add one."""


@dataclass(frozen=True)
class ArrivingReferrer:
    """A referrer whose blobs are not all in the store yet.

    Args:
        data: Its manifest as it came.
        config: Its config.
        referrer: What the manifest says.
    """

    data: bytes
    config: Descriptor
    referrer: Referrer

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What its manifest names, each digest once."""
        blobs = (self.config, *self.referrer.layers)
        return tuple({blob.digest: blob for blob in blobs}.values())


def read_arriving_referrer(data: bytes, subject: str, source: str) -> ArrivingReferrer:
    """Read the manifest of a referrer.

    Args:
        data: The manifest, whose digest was checked.
        subject: Digest of the bento that it must refer to.
        source: Where it comes from, for messages.

    Raises:
        UserError: It is no OCI artifact, refers to something else, or breaks a limit.
    """
    try:
        raw: dict[str, Any] = json.loads(data)
        config = Descriptor.from_json(raw["config"])
        layers = tuple(Descriptor.from_json(layer) for layer in raw["layers"])
        artifact_type = str(raw.get("artifactType") or config.media_type)
        annotations = dict(raw.get("annotations") or {})
        if Descriptor.from_json(raw["subject"]).digest != subject:
            raise ValueError("subject")
        if not _MEDIA_TYPE.fullmatch(artifact_type) or artifact_type in _NOT_REFERRERS:
            raise ValueError("artifactType")
        _check(config, layers)
        if not all(isinstance(each, str) for pair in annotations.items() for each in pair):
            raise ValueError("annotations")
    except (*_MALFORMED, UserError) as error:
        raise UserError(
            f"{source} holds an artifact that says to refer to the bento and is none that could "
            f"({digest_of(data)}); do not use it, or have it removed there."
        ) from error
    manifest = Descriptor(MANIFEST, digest_of(data), len(data))
    return ArrivingReferrer(data, config, Referrer(artifact_type, manifest, layers, annotations))


def check_total(arriving: Sequence[ArrivingReferrer], source: str) -> None:
    """Refuse more than any bento has.

    Raises:
        UserError: There are too many, or they are too large together.
    """
    counted = [each for each in arriving if each.referrer.artifact_type not in _ON_REQUEST]
    size = sum(blob.size for each in counted for blob in each.blobs)
    if len(arriving) > MAX_REFERRERS or size > MAX_REFERRER_SIZE:
        raise UserError(
            f"{source} has more artifacts that refer to the bento than are taken "
            f"({MAX_REFERRERS}, of {MAX_REFERRER_SIZE >> 30} GiB together); "
            "have those removed that nobody needs."
        )


def asked_for(
    arriving: Sequence[ArrivingReferrer], bento: str, fits: Mapping[str, Fits], read: Read
) -> list[ArrivingReferrer]:
    """What comes with a bento: of its snapshots and compiled code those that fit, if asked for.

    Args:
        arriving: All that refers to it.
        bento: Its digest.
        fits: Artifact type to who says what of it fits; what is in :data:`_ON_REQUEST` and not
            here stays away.
        read: Gives the content of a small blob.
    """
    wanted = {**dict.fromkeys(_ON_REQUEST, _none), **fits}
    return [
        each
        for each in arriving
        if each.referrer.artifact_type not in wanted
        or wanted[each.referrer.artifact_type](each.referrer, read, bento)
    ]


def _none(*_: object) -> bool:
    return False


_NOT_REFERRERS = {BENTO_ARTIFACT, MODEL_ARTIFACT}


def _check(config: Descriptor, layers: tuple[Descriptor, ...]) -> None:
    if not layers or len(layers) > MAX_REFERRER_BLOBS:
        raise ValueError("layers")
    check_blobs((config, *layers))
