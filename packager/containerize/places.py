"""Reads images where they are: an OCI layout in a folder or a tar, or a registry."""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bentofn.packager.arrival import MAX_MANIFEST
from bentofn.packager.containerize.blob import Blob, checked, damaged, file_blob, file_chunks
from bentofn.packager.containerize.media import ACCEPT, INDEXES, MANIFESTS
from bentofn.packager.containerize.names import Place
from bentofn.packager.layers.stream import BoundedHeader
from bentofn.packager.registry.blobs import fetch_manifest
from bentofn.packager.registry.download import fetch_blob
from bentofn.packager.registry.reference import Reference
from bentofn.packager.registry.transfer import transport_of
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.blobs import digest_of, open_source
from bentofn.packager.store.descriptors import REF_NAME
from bentofn.runtime.errors import UserError

Report = Callable[[str], None]
Wait = Callable[[float], None]

DEFAULT_TAG = "latest"
MAX_ENTRIES = 4096
"""Entries of an archive; an image has a few dozen."""


class Source(Protocol):
    """An image, or an index of images, somewhere.

    ``name`` is for messages, ``registry`` the repository if it is in one.
    """

    @property
    def name(self) -> str: ...
    @property
    def registry(self) -> Reference | None: ...
    def top(self) -> bytes:
        """The manifest or the index that the place names."""

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest that an index names."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """A config or a layer."""


def open_place(
    place: Place, store: Store, report: Report, *, insecure: bool = False, wait: Wait = time.sleep
) -> Source:
    """Open the image that a place names.

    Args:
        place: Where it is.
        store: Takes what is fetched from a registry.
        report: Told each blob that is fetched.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        wait: Waits so many seconds between two attempts.

    Raises:
        UserError: There is nothing that can be read.
    """
    if place.scheme == "registry":
        assert place.reference is not None
        reference = replace(place.reference, tag=place.reference.tag or DEFAULT_TAG)
        transport = transport_of(reference, "pull", insecure, wait)
        return RegistrySource(reference, transport, store, report)
    if place.scheme == "oci":
        return FolderSource(place.path, place.tag)
    if place.scheme == "oci-archive":
        return ArchiveSource(place.path, place.tag, _spans(place.path))
    raise UserError(
        f"A base image cannot be read from {place.text}; give it as oci:DIR, oci-archive:FILE or "
        "the name of an image in a registry (skopeo copy makes the one from the other)."
    )


@dataclass(frozen=True)
class RegistrySource:
    """An image in a registry; its blobs are fetched into the store when they are read."""

    reference: Reference
    transport: Transport
    store: Store
    report: Report

    @property
    def name(self) -> str:
        return str(self.reference)

    @property
    def registry(self) -> Reference | None:
        return self.reference

    def top(self) -> bytes:
        tag = str(self.reference.tag)
        data = fetch_manifest(self.transport, tag, self.name, accept=ACCEPT)
        if ":" in tag and digest_of(data) != tag:
            raise damaged(self.name, tag, "do not use it")
        return data

    def document(self, descriptor: Descriptor) -> bytes:
        data = fetch_manifest(self.transport, descriptor.digest, self.name, accept=ACCEPT)
        return b"".join(checked(iter((data,)), descriptor, self.name, "do not use it"))

    def blob(self, descriptor: Descriptor) -> Blob:
        store, name = self.store, self.name
        stored = file_blob(store.blob_path(descriptor.digest), descriptor, name, "try again")

        def chunks() -> Iterator[bytes]:
            if not store.blobs.has_whole(descriptor.digest, descriptor.size):
                self.report(f"Fetching {descriptor.digest[:19]} of {name}")
                fetch_blob(self.transport, store, descriptor, name)
            yield from stored.chunks()

        return Blob(descriptor, chunks)


@dataclass(frozen=True)
class FolderSource:
    """An OCI image layout in a folder."""

    path: Path
    tag: str | None
    registry: Reference | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    def top(self) -> bytes:
        try:
            with (self.path / "index.json").open("rb") as file:
                index = file.read(MAX_MANIFEST + 1)
        except OSError as error:
            raise UserError(
                f"{self.path} holds no OCI image layout ({os.strerror(error.errno or 0)}); "
                "name a folder with oci-layout and index.json."
            ) from error
        if len(index) > MAX_MANIFEST:
            raise UserError(f"{self.name} has an index larger than registries take; do not use it.")
        return self.document(_named(index, self.tag, self.name))

    def document(self, descriptor: Descriptor) -> bytes:
        _check_size(descriptor, self.name)
        return self.blob(descriptor).read()

    def blob(self, descriptor: Descriptor) -> Blob:
        path = self.path / "blobs" / "sha256" / descriptor.digest.removeprefix("sha256:")
        return file_blob(path, descriptor, self.name, "copy the image anew")


@dataclass(frozen=True)
class ArchiveSource:
    """An OCI image layout in a tar.

    Args:
        path: The file.
        tag: The image's name in it, or None.
        spans: Entry to where its bytes start and how many they are.
    """

    path: Path
    tag: str | None
    spans: Mapping[str, tuple[int, int]]
    registry: Reference | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    def top(self) -> bytes:
        start, size = self.spans.get("index.json", (0, 0))
        if not size or size > MAX_MANIFEST:
            raise UserError(
                f"{self.path} holds no OCI image layout; write it with skopeo copy ... "
                f"oci-archive:{self.path}."
            )
        with self.path.open("rb") as file:
            file.seek(start)
            return self.document(_named(file.read(size), self.tag, self.name))

    def document(self, descriptor: Descriptor) -> bytes:
        _check_size(descriptor, self.name)
        return self.blob(descriptor).read()

    def blob(self, descriptor: Descriptor) -> Blob:
        name = f"blobs/sha256/{descriptor.digest.removeprefix('sha256:')}"
        remedy = "copy the image anew"

        def chunks() -> Iterator[bytes]:
            start, size = self.spans.get(name, (0, -1))
            if size != descriptor.size:
                raise damaged(self.name, descriptor.digest, remedy)
            with self.path.open("rb") as file:
                file.seek(start)
                yield from checked(_limited(file_chunks(file), size), descriptor, self.name, remedy)

        return Blob(descriptor, chunks)


def media_type_of(document: Mapping[str, Any]) -> str:
    """The media type of a manifest or an index, which old ones do not say themselves."""
    said = str(document.get("mediaType", ""))
    if said in MANIFESTS or said in INDEXES:
        return said
    kind = "index" if "manifests" in document else "manifest"
    return f"application/vnd.oci.image.{kind}.v1+json"


def _named(index: bytes, tag: str | None, name: str) -> Descriptor:
    """The entry of a layout's index that a tag names, or the only one."""
    try:
        entries = [Descriptor.from_json(raw) for raw in json.loads(index)["manifests"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"The index.json of {name} is not an OCI index; copy it anew.") from error
    found = [e for e in entries if tag in (None, e.annotations.get(REF_NAME))]
    if len({entry.digest for entry in found}) == 1:
        return found[0]
    tags = sorted({e.annotations[REF_NAME] for e in entries if REF_NAME in e.annotations})
    known = f"it has {', '.join(tags)}" if tags else "its images have no names"
    what = f"no image {tag}" if tag is not None else f"{len(entries)} images"
    raise UserError(f"The layout {name} has {what}; {known}: name one, as in oci:DIR:TAG.")


def _check_size(descriptor: Descriptor, name: str) -> None:
    if descriptor.size > MAX_MANIFEST:
        raise UserError(f"{name} has a manifest larger than registries take; do not use it.")


def _spans(path: Path) -> dict[str, tuple[int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    with open_source(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:", tarinfo=BoundedHeader) as archive:
                for info in archive:
                    if info.isreg():
                        spans[info.name.removeprefix("./")] = (info.offset_data, info.size)
                    if len(spans) > MAX_ENTRIES:
                        raise UserError(f"{path} has too many entries for an image; do not use it.")
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise UserError(f"{path} is no tar archive, or cut short; copy it anew.") from error
    return spans


def _limited(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            return
