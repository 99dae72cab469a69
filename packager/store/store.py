"""Bentos and models in one OCI image layout that any OCI tool can read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bentofn.packager.files import atomic_write, make_directory
from bentofn.packager.home import Home
from bentofn.packager.store.blobs import Blobs
from bentofn.packager.store.descriptors import (
    BENTO_ARTIFACT,
    BENTO_CONFIG,
    MANIFEST,
    Descriptor,
    LayerInfo,
    by_file,
)
from bentofn.packager.store.index import (
    Entry,
    Kind,
    entries_of,
    is_entry,
    newest_of,
    read_index,
    write_index,
)
from bentofn.packager.store.manifests import (
    reached,
    read_blob,
    read_manifest,
    total_size,
    without_orphans,
)
from bentofn.packager.store.tags import Tag, check_part, parse_tag
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, canonical_json

__all__ = ["Collected", "Entry", "Kind", "Store"]

MINIMUM_AGE = 3600.0
"""Seconds for which a blob that nothing reaches is left alone: its manifest may be on the way."""

_INDEX_LOCK = "store"
_USE_LOCK = "store-use"


@dataclass(frozen=True)
class Collected:
    """What a garbage collection did.

    Args:
        blobs: How many blobs it removed.
        size: Their bytes.
        busy: Whether it did nothing because something is being built.
    """

    blobs: int = 0
    size: int = 0
    busy: bool = False


class Store:
    """The store of one home; any number of processes may use it at once."""

    def __init__(self, home: Home) -> None:
        """Open a home's store, and make it if there is none.

        Raises:
            UserError: It cannot be made.
        """
        self.home = home
        self.path = home.store
        self.blobs = Blobs(self.path / "blobs" / "sha256")
        self._index = self.path / "index.json"
        home.create()
        make_directory(self.blobs.directory)
        if not (self.path / "oci-layout").exists():
            atomic_write(self.path / "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        if not self._index.exists():
            with home.lock(_INDEX_LOCK):
                if not self._index.exists():
                    write_index(self._index, [])

    @contextmanager
    def using(self) -> Iterator[None]:
        """Keep :meth:`gc` away from blobs that are not yet reached, for as long as a build runs."""
        with self.home.lock(_USE_LOCK, shared=True):
            yield

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep builds from starting; False, and no wait, where one runs."""
        with self.home.try_lock(_USE_LOCK) as free:
            yield free

    def index(self) -> list[dict[str, Any]]:
        """The descriptors of ``index.json``.

        Raises:
            UserError: It is damaged.
        """
        return read_index(self._index)

    @contextmanager
    def editing(self) -> Iterator[list[dict[str, Any]]]:
        """Give the descriptors of ``index.json`` to change in place; nobody else writes meanwhile.

        Raises:
            UserError: It is damaged, or cannot be written.
        """
        with self.home.lock(_INDEX_LOCK):
            before = read_index(self._index)
            index = list(before)
            yield index
            if index != before:
                write_index(self._index, index)

    def put_bytes(self, data: bytes, media_type: str) -> Descriptor:
        """Store bytes.

        Raises:
            UserError: The disk is full or the store cannot be written.
        """
        return Descriptor(media_type, self.blobs.put_bytes(data), len(data))

    def put_file(self, path: Path, media_type: str, *, move: bool = False) -> Descriptor:
        """Store a file, hashed while it is copied; ``move`` takes the file itself if it can.

        Raises:
            UserError: It cannot be read, the disk is full or the store cannot be written.
        """
        digest, size = self.blobs.put_file(path, move=move)
        return Descriptor(media_type, digest, size)

    def put_manifest(
        self,
        artifact_type: str,
        config: Descriptor,
        layers: Sequence[Descriptor],
        annotations: Mapping[str, str] | None = None,
        subject: Descriptor | None = None,
    ) -> Descriptor:
        """Store an OCI manifest, in canonical JSON.

        Args:
            artifact_type: What it is.
            config: Its config.
            layers: Its layers, in order.
            annotations: OCI annotations.
            subject: The manifest that it refers to.

        Raises:
            UserError: The disk is full or the store cannot be written.
        """
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        if annotations:
            manifest["annotations"] = dict(annotations)
        if subject is not None:
            manifest["subject"] = Descriptor(
                subject.media_type, subject.digest, subject.size
            ).to_json()
        return self.put_bytes(canonical_json(manifest), MANIFEST)

    def blob_path(self, digest: str) -> Path:
        """Where a blob stands; read it, never write it."""
        return self.blobs.path(digest)

    def has(self, digest: str) -> bool:
        """Whether a blob is there."""
        return self.blobs.has(digest)

    def add(
        self,
        kind: Kind,
        name: str,
        version: str,
        manifest: Descriptor,
        created: datetime,
        *,
        lazy: str = "",
    ) -> Entry:
        """Give a stored manifest a name and a version; it becomes the newest of its name.

        An entry of the same name and version is replaced. If it is already the newest and has
        the same digest, nothing changes.

        Args:
            kind: What it is.
            name: Its name.
            version: Its version.
            manifest: Its manifest, which is in the store.
            created: When it was made.
            lazy: Where the blobs are that are not here yet; else all must be.

        Raises:
            UserError: The name or version breaks a rule, a blob that the manifest names is not in
                the store, or the store cannot be written.
        """
        name, version = check_part(name), check_part(version, "version")
        if version == "latest":
            raise UserError("'latest' cannot be a version: it means the newest; choose another.")
        with self.editing() as index:
            entry = Entry(
                kind=kind,
                name=name,
                version=version,
                digest=manifest.digest,
                created=created,
                size=total_size(self.blobs, manifest, lazy=bool(lazy)),
                manifest_size=manifest.size,
                lazy=lazy,
            )
            newest = newest_of([found for found in entries_of(index, kind) if found.name == name])
            same = (version, manifest.digest, lazy)
            if newest and (newest.version, newest.digest, newest.lazy) == same:
                return newest
            others = [item for item in index if not is_entry(item, kind, name, version)]
            index[:] = [*others, entry.to_json()]
            return entry

    def add_bento(
        self, bento: BentoManifest, layers: Sequence[Descriptor], created: datetime
    ) -> Entry:
        """Store a bento's config and manifest and name it; its layers are already stored.

        Raises:
            UserError: As :meth:`add`.
        """
        config = self.put_bytes(bento.to_json(), BENTO_CONFIG)
        manifest = self.put_manifest(BENTO_ARTIFACT, config, layers)
        return self.add("bento", bento.name, bento.version, manifest, created)

    def list(self, kind: Kind) -> list[Entry]:
        """Every bento or model, the newest first.

        Raises:
            UserError: The index is damaged.
        """
        entries = entries_of(read_index(self._index), kind)
        # A stable sort, so that of equal times the later in the index is the newer.
        entries.sort(key=lambda entry: entry.created)
        entries.reverse()
        return entries

    def find(self, kind: Kind, tag: str) -> Entry | None:
        """The entry that ``name``, ``name:version`` or ``name:latest`` means, or None.

        Raises:
            UserError: The tag breaks a rule.
        """
        wanted = parse_tag(tag)
        for entry in self.list(kind):
            if entry.name == wanted.name and wanted.version in (None, entry.version):
                return entry
        return None

    def get(self, kind: Kind, tag: str) -> Entry:
        """The entry that ``name``, ``name:version`` or ``name:latest`` means.

        Raises:
            UserError: There is none; the message names the nearest.
        """
        found = self.find(kind, tag)
        if found is None:
            raise UserError(self._not_found(kind, parse_tag(tag)))
        return found

    def delete(self, kind: Kind, tag: str) -> Entry:
        """Forget a bento or a model and what refers to it; :meth:`gc` frees its space.

        Raises:
            UserError: There is none, or the store cannot be written.
        """
        with self.editing() as index:
            entry = self.get(kind, tag)
            kept = [item for item in index if not is_entry(item, kind, entry.name, entry.version)]
            index[:] = without_orphans(self.blobs, kept)
            return entry

    def gc(self, minimum_age: float = MINIMUM_AGE) -> Collected:
        """Remove the blobs that no manifest reaches, except young ones and while a build runs.

        Args:
            minimum_age: Seconds for which a blob is left alone after it was last put.

        Raises:
            UserError: A manifest is damaged, so that what it reaches is not known.
        """
        with self.alone() as alone:
            if not alone:
                return Collected(busy=True)
            with self.editing() as index:
                index[:] = without_orphans(self.blobs, index)
                return self._sweep(index, minimum_age)

    def manifest(self, entry: Entry) -> dict[str, Any]:
        """An entry's OCI manifest.

        Raises:
            UserError: It is damaged.
        """
        return read_manifest(self.blobs, entry.digest, f"the manifest of {entry.kind} {entry.tag}")

    def config(self, entry: Entry) -> bytes:
        """The content of an entry's config blob.

        Raises:
            UserError: It or the manifest is damaged.
        """
        digest = Descriptor.from_json(self.manifest(entry)["config"]).digest
        return read_blob(self.blobs, digest, f"the config of {entry.kind} {entry.tag}")

    def bento(self, entry: Entry) -> BentoManifest:
        """An entry's bento manifest.

        Raises:
            UserError: It is damaged, or of another schema.
        """
        return BentoManifest.from_json(self.config(entry))

    def descriptors(self, entry: Entry) -> tuple[Descriptor, ...]:
        """The descriptors of an entry's layers, in order.

        Raises:
            UserError: The manifest is damaged.
        """
        return tuple(Descriptor.from_json(layer) for layer in self.manifest(entry)["layers"])

    def layers(self, entry: Entry) -> tuple[LayerInfo, ...]:
        """The layers of an entry, as users see them, in order; a file in parts is one.

        Raises:
            UserError: The manifest is damaged.
        """
        return tuple(LayerInfo.of_parts(parts) for parts in by_file(self.descriptors(entry)))

    def _sweep(self, index: Sequence[Mapping[str, Any]], minimum_age: float) -> Collected:
        kept = reached(self.blobs, [str(raw["digest"]) for raw in index])
        blobs = size = 0
        for digest, length in list(self.blobs.older_than(minimum_age)):
            if digest not in kept:
                self.blobs.remove(digest)
                blobs, size = blobs + 1, size + length
        return Collected(blobs, size)

    def _not_found(self, kind: Kind, wanted: Tag) -> str:
        entries = self.list(kind)
        versions = [entry.version for entry in entries if entry.name == wanted.name]
        if versions:
            known, asked = versions, wanted.version or ""
            near = [f"{wanted.name}:{near}" for near in difflib.get_close_matches(asked, known)]
            near = near or [f"{wanted.name}:{versions[0]}"]
        else:
            near = difflib.get_close_matches(wanted.name, sorted({e.name for e in entries}))
        lists = "bentofn list" if kind == "bento" else "bentofn models list"
        hint = f"did you mean {near[0]}? " if near else ""
        return f"There is no {kind} {wanted} in {self.path}; {hint}`{lists}` shows what there is."
