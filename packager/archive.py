"""A bento as one file: an OCI image layout in a plain tar, which skopeo reads as `oci-archive:`."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from bentofn.packager.archive_reader import FOLDERS, Archive
from bentofn.packager.arrival import (
    add_arrived,
    read_arriving,
    read_arriving_config,
    refuse_other,
)
from bentofn.packager.arriving_referrers import (
    NOTHING,
    ArrivingReferrer,
    Check,
    Fits,
    asked_for,
    read_arriving_referrer,
)
from bentofn.packager.files import make_directory, publish, temporary_file
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.blobs import open_source
from bentofn.packager.store.descriptors import BENTO_ARTIFACT, INDEX, MANIFEST, REF_NAME
from bentofn.packager.store.manifests import read_blob
from bentofn.packager.store.referrers import add_referrer, referrers
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


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
    entry = whole_bento(store, tag)
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
            for folder in sorted(FOLDERS):
                info = tarfile.TarInfo(folder)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            for blob in {blob.digest: blob for blob in blobs}.values():
                _add_blob(store, archive, blob)
        publish(temporary, target)
    return entry


def import_bento(
    store: Store,
    source: Path,
    check: Check | None = None,
    fits: Mapping[str, Fits] = NOTHING,
) -> Entry:
    """Add the bento of a file; nothing is added unless every byte of it is as its digest says.

    Args:
        store: The store.
        source: A file that :func:`export_bento` wrote, or an ``oci-archive:`` of skopeo's.
        check: Refuses a bento by what refers to it.
        fits: Which of the bento's snapshots and compiled code are added; else none is.

    Returns:
        The bento; one that was there already stays as it is.

    Raises:
        UserError: The file cannot be read, is damaged, unsafe or no bento, the tag is taken by
            other content, or the disk is full.
    """
    with open_source(source) as file, ExitStack() as stages, store.using():
        archive = Archive(source, file)
        arriving, about = archive.bento()
        bento = read_arriving_config(archive.read(arriving.config), str(source))
        refuse_other(store, bento, arriving.manifest)
        if check is not None:
            good = check(arriving.manifest, [each.referrer for each in about], archive.read)
            about = [each for each in about if each.referrer.manifest.digest in good]
        about = asked_for(about, arriving.manifest.digest, fits, archive.read)
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
