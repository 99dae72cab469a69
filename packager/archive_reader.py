"""Reads a bento's archive that may come from anyone: listed, then read within bounds."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from bentofn.packager.arrival import MAX_LAYERS, MAX_MANIFEST, ArrivingBento, read_arriving
from bentofn.packager.arriving_referrers import (
    MAX_REFERRER_BLOBS,
    MAX_REFERRERS,
    ArrivingReferrer,
    check_total,
    read_arriving_referrer,
)
from bentofn.packager.files import CHUNK
from bentofn.packager.store import Descriptor
from bentofn.runtime.errors import UserError

MAX_HEADER = 1 << 20
"""Bytes that the tar format may use to name one entry, and of ``index.json``."""

FOLDERS = {"blobs", "blobs/sha256"}
FILES = {"oci-layout", "index.json"}

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_MOST = MAX_LAYERS + 8 + MAX_REFERRERS * (MAX_REFERRER_BLOBS + 2)
"""Entries of an archive: the layers, the manifest, the config, what refers to them and what makes a
layout."""


@dataclass(frozen=True)
class _Span:
    """Where an entry's bytes stand in the archive."""

    start: int
    size: int


class Archive:
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
            name for name in self._entries if name not in FILES and _digest(name) not in digests
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
                    if info.isdir() and name in {".", *FOLDERS}:
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
        if name not in FILES and not _BLOB.fullmatch(name):
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
