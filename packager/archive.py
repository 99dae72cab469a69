"""A bento as one file: an OCI image layout in a plain tar, which skopeo reads as `oci-archive:`."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from bentofn.packager.arrival import (
    MAX_LAYERS,
    MAX_MANIFEST,
    ArrivingBento,
    add_arrived,
    read_arriving,
    read_arriving_config,
    refuse_other,
)
from bentofn.packager.arriving_referrers import (
    MAX_REFERRER_BLOBS,
    MAX_REFERRERS,
    ArrivingReferrer,
    Check,
    check_total,
    read_arriving_referrer,
)
from bentofn.packager.files import CHUNK, make_directory, publish, temporary_file
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.blobs import open_source
from bentofn.packager.store.descriptors import BENTO_ARTIFACT, INDEX, MANIFEST, REF_NAME
from bentofn.packager.store.manifests import read_blob
from bentofn.packager.store.referrers import add_referrer, referrers
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

MAX_HEADER = 1 << 20
"""Bytes that the tar format may use to name one entry, and of ``index.json``."""

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_FOLDERS = {"blobs", "blobs/sha256"}
_FILES = {"oci-layout", "index.json"}
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_MOST = MAX_LAYERS + 8 + MAX_REFERRERS * (MAX_REFERRER_BLOBS + 2)
"""Entries of an archive: the layers, the manifest, the config, what refers to them and what makes a
layout."""


def export_bento(store: Store, tag: str, target: Path, *, force: bool = False) -> Entry:
    """Write a bento, and what refers to it, as one file; the same gives the same bytes.

    Args:
        store: The store.
        tag: ``name``, ``name:version`` or ``name:latest``.
        target: The file to write.
        force: Whether to replace what stands there.

    Raises:
        UserError: There is no such bento, something stands at the target, a blob is damaged, or the
            target's disk is full.
    """
    entry = store.get("bento", tag)
    target = target.absolute()
    if target.is_dir() or (target.exists() and not force):
        raise UserError(f"{target} is there already; choose another name, or use --force.")
    arriving = read_arriving(canonical_json(store.manifest(entry)), entry.tag)
    about = sorted(_stored_referrers(store, entry), key=lambda each: each.referrer.manifest.digest)
    descriptor = {
        "mediaType": MANIFEST,
        "digest": entry.digest,
        "size": entry.manifest_size,
        "artifactType": BENTO_ARTIFACT,
        "annotations": {REF_NAME: entry.tag},
    }
    manifests = [descriptor, *(each.referrer.to_json() for each in about)]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    manifest = Descriptor(MANIFEST, entry.digest, entry.manifest_size)
    blobs = [manifest, *arriving.blobs]
    for each in about:
        blobs += [each.referrer.manifest, *each.blobs]
    with store.using(), temporary_file(make_directory(target.parent)) as temporary:
        # GNU's format has sizes over 8 GiB and needs no extended headers, which hold times.
        with tarfile.open(fileobj=temporary.file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            _add(archive, "oci-layout", io.BytesIO(_LAYOUT), len(_LAYOUT))
            data = canonical_json(index)
            _add(archive, "index.json", io.BytesIO(data), len(data))
            for folder in sorted(_FOLDERS):
                info = tarfile.TarInfo(folder)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            for blob in {blob.digest: blob for blob in blobs}.values():
                _add_blob(store, archive, blob)
        publish(temporary, target)
    return entry


def import_bento(store: Store, source: Path, check: Check | None = None) -> Entry:
    """Add the bento of a file; nothing is added unless every byte of it is as its digest says.

    Args:
        store: The store.
        source: A file that :func:`export_bento` wrote, or an ``oci-archive:`` of skopeo's.
        check: Refuses a bento by what refers to it.

    Returns:
        The bento; one that was there already stays as it is.

    Raises:
        UserError: The file cannot be read, is damaged, unsafe or no bento, the tag is taken by
            other content, or the disk is full.
    """
    with open_source(source) as file, ExitStack() as stages, store.using():
        archive = _Archive(source, file)
        arriving, about = archive.bento()
        bento = read_arriving_config(archive.read(arriving.config), str(source))
        refuse_other(store, bento, arriving.manifest)
        if check is not None:
            check(arriving.manifest, [each.referrer for each in about], archive.read)
        staged = []
        blobs = (*arriving.blobs, *(blob for each in about for blob in each.blobs))
        for blob in {blob.digest: blob for blob in blobs}.values():
            if store.blobs.has_whole(blob.digest, blob.size):
                archive.copy(blob, None)
                continue
            stage = stages.enter_context(store.blobs.stage())
            archive.copy(blob, stage.file)
            staged.append((stage, blob.digest))
        for stage, digest in staged:
            store.blobs.commit(stage, digest)
        entry = add_arrived(store, arriving, bento)
        for each in about:
            store.put_bytes(each.data, MANIFEST)
            add_referrer(store, entry.digest, each.referrer)
        return entry


def _stored_referrers(store: Store, entry: Entry) -> list[ArrivingReferrer]:
    return [
        read_arriving_referrer(
            read_blob(store.blobs, each.manifest.digest, each.artifact_type),
            entry.digest,
            entry.tag,
        )
        for each in referrers(store, entry.digest)
    ]


@dataclass(frozen=True)
class _Span:
    """Where an entry's bytes stand in the archive."""

    start: int
    size: int


class _Archive:
    """An archive that may come from anyone; every read is bounded."""

    def __init__(self, source: Path, file: BinaryIO) -> None:
        self._source = source
        self._file = file
        self._entries = self._list()

    def bento(self) -> tuple[ArrivingBento, list[ArrivingReferrer]]:
        """The one bento of the archive and what refers to it; all blobs have their sizes."""
        named: list[Descriptor] = []
        alone, about = self._manifests()
        arriving = read_arriving(alone, str(self._source))
        named += [arriving.manifest, *arriving.blobs]
        referring = []
        for data in about:
            each = read_arriving_referrer(data, arriving.manifest.digest, str(self._source))
            named += [each.referrer.manifest, *each.blobs]
            referring.append(each)
        check_total(referring, str(self._source))
        for blob in named:
            if self._span(blob.digest).size != blob.size:
                raise self._damaged(f"{blob.digest} has another size than its manifest says")
        digests = {blob.digest for blob in named}
        extra = [
            name for name in self._entries if name not in _FILES and _digest(name) not in digests
        ]
        if extra:
            raise self._refused(f"nothing names its entry {extra[0]!r}")
        return arriving, referring

    def read(self, blob: Descriptor) -> bytes:
        """A small blob, checked; its size was."""
        copy = io.BytesIO()
        self.copy(blob, copy)
        return copy.getvalue()

    def copy(self, blob: Descriptor, target: BinaryIO | None) -> None:
        """Check a blob, and copy it to a file if one is given."""
        hashed = hashlib.sha256()
        for chunk in self._chunks(self._span(blob.digest)):
            hashed.update(chunk)
            if target is not None:
                target.write(chunk)
        if f"sha256:{hashed.hexdigest()}" != blob.digest:
            raise self._damaged(f"the bytes of {blob.digest} are others")

    def _manifests(self) -> tuple[bytes, list[bytes]]:
        """The manifest that refers to nothing, and those that do."""
        about: list[bytes] = []
        alone: list[bytes] = []
        try:
            layout = json.loads(self._small("oci-layout"))
            index = json.loads(self._small("index.json"))
            if layout["imageLayoutVersion"] != "1.0.0" or len(index["manifests"]) > MAX_REFERRERS:
                raise ValueError
            for raw in index["manifests"]:
                data = self._manifest(Descriptor.from_json(raw))
                (about if "subject" in json.loads(data) else alone).append(data)
            (bento,) = alone
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._refused("it is no OCI layout with one bento") from error
        return bento, about

    def _manifest(self, manifest: Descriptor) -> bytes:
        if self._span(manifest.digest).size != manifest.size:
            raise ValueError
        if manifest.size > MAX_MANIFEST:
            raise self._refused("its manifest is too large")
        return self.read(manifest)

    def _small(self, name: str) -> bytes:
        span = self._entries[name]
        if span.size > MAX_HEADER:
            raise self._refused(f"its {name} is too large")
        return b"".join(self._chunks(span))

    def _span(self, digest: str) -> _Span:
        try:
            return self._entries[f"blobs/sha256/{digest.removeprefix('sha256:')}"]
        except KeyError as error:
            raise self._damaged(f"{digest} is not in it") from error

    def _chunks(self, span: _Span) -> Iterator[bytes]:
        self._file.seek(span.start)
        left = span.size
        while left:
            chunk = self._file.read(min(left, CHUNK))
            if not chunk:
                raise self._damaged("it is cut short")
            left -= len(chunk)
            yield chunk

    def _list(self) -> dict[str, _Span]:
        entries: dict[str, _Span] = {}
        count = 0
        try:
            headers = cast("Any", _Headers(self._file))
            with tarfile.open(fileobj=headers, mode="r:") as archive:
                for info in archive:
                    count += 1
                    if count > _MOST:
                        raise self._refused("it has too many entries")
                    name = info.name.removeprefix("./")
                    if info.isdir() and name in {".", *_FOLDERS}:
                        continue
                    self._check(info, name)
                    if name in entries:
                        raise self._refused(f"its entry {name!r} stands there twice")
                    entries[name] = _Span(info.offset_data, info.size)
        except (
            tarfile.TarError,
            OSError,
            EOFError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:
            raise self._damaged("it is no tar archive, or cut short") from error
        return entries

    def _check(self, info: tarfile.TarInfo, name: str) -> None:
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
            raise self._refused(f"its entry {name!r} is not a plain file")
        if name not in _FILES and not _BLOB.fullmatch(name):
            raise self._refused(f"its entry {name!r} has no place in an OCI layout")
        if info.size < 0:
            raise self._refused(f"its entry {name!r} has no size")

    def _damaged(self, why: str) -> UserError:
        return UserError(f"{self._source} is damaged: {why}; copy or export it again.")

    def _refused(self, why: str) -> UserError:
        return UserError(
            f"{self._source} is not a bento that `bentofn export` wrote: {why}; do not use it."
        )


class _Headers:
    """A file as `tarfile` sees it while it lists: no header of it is read into much memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > MAX_HEADER:
            raise tarfile.ReadError("a header is too large")
        return self._file.read(size)


def _digest(name: str) -> str:
    return f"sha256:{name.rpartition('/')[2]}"


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    archive.addfile(info, content)


def _add_blob(store: Store, archive: tarfile.TarFile, blob: Descriptor) -> None:
    name = f"blobs/sha256/{blob.digest.removeprefix('sha256:')}"
    try:
        with store.blob_path(blob.digest).open("rb") as file:
            content = _Hashing(file)
            _add(archive, name, cast("BinaryIO", content), blob.size)
            whole = content.digest == blob.digest
    except FileNotFoundError:
        whole = False
    except OSError as error:
        if error.errno is not None:
            raise
        whole = False  # tarfile: the file is shorter than its entry
    if not whole:
        store.blobs.remove(blob.digest)
        raise UserError(
            f"The blob {blob.digest} is damaged or missing in {store.path}; "
            "build or pull the bento again to write it anew."
        )


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data
