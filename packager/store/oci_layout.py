"""An OCI image layout in a home, which any number of processes use at once.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentofn.packager.files import atomic_write, make_directory
from bentofn.packager.home import Home
from bentofn.packager.store.blobs import Blobs
from bentofn.packager.store.descriptors import MANIFEST, Descriptor
from bentofn.packager.store.index import read_index, write_index
from bentofn.runtime.manifest import canonical_json

_INDEX_LOCK = "store"
_USE_LOCK = "store-use"


class OciLayout:
    """The blobs of one home and their index, whatever they are."""

    def __init__(self, home: Home) -> None:
        """Open the layout of a home's store, and make it if there is none.

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
        """Keep garbage collections from blobs that are not yet reached, while a build runs."""
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
