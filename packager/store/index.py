"""``index.json`` of the store: which bentos and models there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from bentofn.packager.files import atomic_write
from bentofn.packager.store.descriptors import (
    BENTO_ARTIFACT,
    CREATED,
    INDEX,
    LAZY,
    MANIFEST,
    MODEL_ARTIFACT,
    REF_NAME,
    SIZE,
    check_digest,
)
from bentofn.runtime.errors import UserError

Kind = Literal["bento", "model"]

_ARTIFACTS: Mapping[Kind, str] = {"bento": BENTO_ARTIFACT, "model": MODEL_ARTIFACT}
_KINDS: Mapping[str, Kind] = {artifact: kind for kind, artifact in _ARTIFACTS.items()}
_EPOCH = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class Entry:
    """A bento or a model of the store.

    Args:
        kind: Which of the two.
        name: Its name.
        version: Its version.
        digest: Digest of its manifest.
        created: When it was made, or last made again.
        size: Bytes of its manifest and of every blob that it names.
        manifest_size: Bytes of its manifest.
        lazy: Where the blobs are that are not here yet (:mod:`bentofn.packager.lazy.origin`); empty
            if all are here.
    """

    kind: Kind
    name: str
    version: str
    digest: str
    created: datetime
    size: int
    manifest_size: int
    lazy: str = ""

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    def to_json(self) -> dict[str, Any]:
        """The entry as a descriptor of an OCI index."""
        return {
            "mediaType": MANIFEST,
            "digest": self.digest,
            "size": self.manifest_size,
            "artifactType": _ARTIFACTS[self.kind],
            "annotations": {
                REF_NAME: self.tag,
                CREATED: self.created.astimezone(timezone.utc).isoformat(),
                SIZE: str(self.size),
                **({LAZY: self.lazy} if self.lazy else {}),
            },
        }


def read_index(path: Path) -> list[dict[str, Any]]:
    """Read the descriptors of an OCI index; a missing file is an empty index.

    Raises:
        UserError: The file is not an OCI index.
    """
    try:
        manifests = json.loads(path.read_bytes())["manifests"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not an OCI index; restore it, or move {path.parent} away to start anew."
        ) from error
    if not isinstance(manifests, list):
        raise UserError(f"{path} is not an OCI index: its 'manifests' is not a list.")
    return manifests


def write_index(path: Path, manifests: list[dict[str, Any]]) -> None:
    """Replace an OCI index.

    Raises:
        UserError: The disk is full or the store cannot be written.
    """
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    atomic_write(path, json.dumps(index, indent=1, ensure_ascii=False).encode())


def read_entry(raw: Mapping[str, Any]) -> Entry | None:
    """Read an entry of the index, or None for what another tool put there."""
    annotations = raw.get("annotations") or {}
    kind = _KINDS.get(str(raw.get("artifactType", "")))
    name, colon, version = str(annotations.get(REF_NAME, "")).rpartition(":")
    if kind is None or not colon:
        return None
    size = int(raw.get("size", 0))
    return Entry(
        kind=kind,
        name=name,
        version=version,
        digest=check_digest(str(raw.get("digest", ""))),
        created=_time(str(annotations.get(CREATED, ""))),
        size=int(annotations.get(SIZE, size)),
        manifest_size=size,
        lazy=str(annotations.get(LAZY, "")),
    )


def entries_of(raw: Sequence[Mapping[str, Any]], kind: Kind) -> list[Entry]:
    """The bentos or the models of an index, in its order."""
    found = (read_entry(item) for item in raw)
    return [entry for entry in found if entry is not None and entry.kind == kind]


def newest_of(entries: Sequence[Entry]) -> Entry | None:
    """The newest entry; among equal times, the later in the index."""
    return max(reversed(entries), key=lambda entry: entry.created, default=None)


def is_entry(raw: Mapping[str, Any], kind: Kind, name: str, version: str) -> bool:
    """Whether a descriptor of the index is the one of a bento or a model."""
    entry = read_entry(raw)
    return entry is not None and (entry.kind, entry.name, entry.version) == (kind, name, version)


def _time(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return _EPOCH
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)
