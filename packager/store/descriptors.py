"""OCI descriptors, and the media types and annotations that bentofn writes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bentofn.runtime.errors import UserError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

BENTO_ARTIFACT = "application/vnd.bentofn.bento.v1+json"
BENTO_CONFIG = "application/vnd.bentofn.bento.config.v1+json"
PREFETCH = "application/vnd.bentofn.prefetch.v1"
SNAPSHOT = "application/vnd.bentofn.snapshot.v1"
COMPILED = "application/vnd.bentofn.compiled.v1"

# https://github.com/modelpack/model-spec/blob/main/docs/spec.md
MODEL_ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
MODEL_WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
MODEL_FILES = "application/vnd.cncf.model.weight.config.v1.tar"
MODEL_PATH = "org.cncf.model.filepath"

REF_NAME = "org.opencontainers.image.ref.name"
CREATED = "org.opencontainers.image.created"
TITLE = "org.opencontainers.image.title"
SIZE = "io.bentofn.size"
LAZY = "io.bentofn.lazy"
LAYER_KIND = "io.bentofn.layer.kind"
LAYER_DIFF_ID = "io.bentofn.layer.diff-id"
LAYER_PATH = "io.bentofn.layer.path"
PART_OFFSET = "io.bentofn.part.offset"
"""Of a part of a file: where its bytes stand in the file."""
PART_SIZE = "io.bentofn.part.size"
"""Of a part of a file: bytes of the whole file."""
LAYER_TOC_POSITION = "io.bentofn.layer.toc-position"
LAYER_TOC_CHECKSUM = "io.bentofn.layer.toc-checksum"

# https://github.com/containers/storage/tree/v1.59.1/pkg/chunked
TOC_POSITION = "io.github.containers.zstd-chunked.manifest-position"
TOC_CHECKSUM = "io.github.containers.zstd-chunked.manifest-checksum"
TAR_SPLIT_POSITION = "io.github.containers.zstd-chunked.tarsplit-position"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ARCHIVE = re.compile(r".*\.tar(\+\w+)?")


@dataclass(frozen=True)
class Descriptor:
    """A pointer to a blob.

    Args:
        media_type: What the blob is.
        digest: ``sha256:`` and 64 hex digits.
        size: Bytes.
        annotations: OCI annotations.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_archive(self) -> bool:
        """Whether the blob is a tar archive of files, and not one file as it is."""
        return _ARCHIVE.fullmatch(self.media_type) is not None

    def to_json(self) -> dict[str, Any]:
        """The descriptor as OCI JSON."""
        raw: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.annotations:
            raw["annotations"] = dict(self.annotations)
        return raw

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Descriptor:
        """Read a descriptor of a manifest or an index.

        Raises:
            UserError: It has no proper digest.
            ValueError, TypeError: Its size is no number, or its annotations are no mapping.
        """
        try:
            size = int(raw.get("size", 0))
        except OverflowError as error:  # JSON's 1e999
            raise ValueError("size") from error
        return cls(
            media_type=str(raw.get("mediaType", "")),
            digest=check_digest(str(raw.get("digest", ""))),
            size=size,
            annotations=dict(raw.get("annotations") or {}),
        )


@dataclass(frozen=True)
class LayerInfo:
    """A layer of a bento, as users see it.

    Args:
        name: Its title.
        kind: ``env``, ``bytecode``, ``runtime``, ``code`` or ``model``.
        digest: Digest of its blob.
        size: Bytes of its blob.
        parts: How many blobs it is; of more than one, ``size`` is their sum and ``digest`` that of
            their digests.
    """

    name: str
    kind: str
    digest: str
    size: int
    parts: int = 1

    @classmethod
    def of(cls, layer: Descriptor) -> LayerInfo:
        """Describe a layer's descriptor."""
        return cls(
            name=layer.annotations.get(TITLE, layer.digest),
            kind=layer.annotations.get(LAYER_KIND, ""),
            digest=layer.digest,
            size=layer.size,
        )

    @classmethod
    def of_parts(cls, parts: Sequence[Descriptor]) -> LayerInfo:
        """Describe the parts of a file, as :func:`by_file` gives them, or the one layer."""
        first = cls.of(parts[0])
        if len(parts) == 1:
            return first
        digests = "\n".join(part.digest for part in parts)
        return replace(
            first,
            digest=f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}",
            size=sum(part.size for part in parts),
            parts=len(parts),
        )


def by_file(layers: Sequence[Descriptor]) -> list[list[Descriptor]]:
    """The layers in order, with the parts of a file (which stand together) as one item."""
    files: list[list[Descriptor]] = []
    for layer in layers:
        if _file_of(layer) and files and _file_of(files[-1][-1]) == _file_of(layer):
            files[-1].append(layer)
        else:
            files.append([layer])
    return files


def _file_of(layer: Descriptor) -> str:
    """The file that a layer is a part of; empty for what is no part."""
    if PART_OFFSET not in layer.annotations:
        return ""
    return layer.annotations.get(LAYER_PATH) or layer.annotations.get(MODEL_PATH, "")


def check_digest(digest: str) -> str:
    """Give a digest back.

    Raises:
        UserError: It is not ``sha256:`` and 64 hex digits.
    """
    if not _DIGEST.fullmatch(digest):
        raise UserError(f"{digest!r} is not a sha256 digest; the manifest that holds it is broken.")
    return digest
