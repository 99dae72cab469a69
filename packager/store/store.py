"""Bentos and models in one OCI image layout that any OCI tool can read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bentofn.packager.store.descriptors import (
    BENTO_ARTIFACT,
    BENTO_CONFIG,
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
)
from bentofn.packager.store.manifests import (
    reached,
    read_blob,
    read_manifest,
    total_size,
    without_orphans,
)
from bentofn.packager.store.oci_layout import OciLayout
from bentofn.packager.store.tags import Tag, check_part, parse_tag
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

__all__ = ["Collected", "Entry", "Kind", "Store"]

MINIMUM_AGE = 3600.0
"""Seconds for which a blob that nothing reaches is left alone: its manifest may be on the way."""


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


class Store(OciLayout):
    """The bentos and models of one home; any number of processes may use it at once."""

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
        entries = entries_of(self.index(), kind)
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
