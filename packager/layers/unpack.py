"""Unpack a layer without trusting it: nothing is written outside the directory it goes to."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from bentofn.packager.files import CHUNK, writing
from bentofn.packager.layers.files import check_link, check_path
from bentofn.packager.layers.read_ahead import read_ahead
from bentofn.packager.layers.stream import (
    UNREADABLE,
    DamagedLayer,
    HashingReader,
    bounded,
    decompressor,
    open_archive,
)
from bentofn.runtime.errors import UserError


class LayerSink(Protocol):
    """What takes the entries of a layer, whose paths and links were checked.

    Directories come before what they hold. An entry may replace an earlier one.
    """

    def directory(self, parts: tuple[str, ...]) -> None:
        """Take a directory, perhaps again; raises UserError where something else stands."""

    def link(self, parts: tuple[str, ...], target: str) -> None:
        """Take a symbolic link; raises UserError where a directory stands."""

    def file(self, parts: tuple[str, ...], content: BinaryIO, size: int, executable: bool) -> None:
        """Take a file; raises UserError where a directory stands, DamagedLayer if it is short."""


def unpack_layer(blob: Path, media_type: str, digest: str, target: Path, prefix: str) -> None:
    """Unpack the entries below ``prefix`` into a directory, over what is there.

    Args:
        blob: The layer's blob.
        media_type: Its OCI media type, which says how it is compressed.
        digest: Digest of the blob.
        target: An existing directory; on :class:`DamagedLayer` it holds rubbish.
        prefix: Path in the layer that becomes ``target``, such as ``opt/bento/env``; empty for all
            of it.

    Raises:
        DamagedLayer: The blob does not have the digest or is no archive.
        UserError: An entry is outside ``prefix``, leaves the target, or is neither file, folder
            nor symbolic link; it holds far more than its size lets expect; or the disk is full.
    """
    with writing(target):
        read_layer(blob, media_type, digest, prefix, _Directory(target))


def read_layer(blob: Path, media_type: str, digest: str, prefix: str, sink: LayerSink) -> None:
    """Give the entries below ``prefix`` to a sink; the digest is computed on the way.

    Arguments and failures as for :func:`unpack_layer`; on :class:`DamagedLayer` the sink holds
    rubbish.
    """
    try:
        file = blob.open("rb")
    except FileNotFoundError as error:
        raise DamagedLayer(f"{digest} is missing") from error
    with file:
        source = HashingReader(file)
        try:
            with read_ahead(decompressor(source, media_type)) as stream:
                _read(stream, _Entries(prefix, sink))
        except Exception as error:
            # Damage can look like anything, an unsafe entry too.
            if source.finish() != digest or isinstance(error, UNREADABLE):
                raise DamagedLayer(f"{digest}: {error}") from error
            raise
        if source.finish() != digest:
            raise DamagedLayer(f"{digest} is other bytes")


def unsafe(path: str, why: str) -> UserError:
    """What is said of an entry that must not be unpacked."""
    return UserError(
        f"This layer is not safe to unpack: its entry {path!r} {why}; "
        "it was not made by bentofn, do not use it."
    )


def _read(stream: BinaryIO, entries: _Entries) -> None:
    with open_archive(stream) as archive:
        for member in bounded(archive):
            entries.add(archive, member)


class _Entries:
    """Checks the entries of an archive and gives them on."""

    def __init__(self, prefix: str, sink: LayerSink) -> None:
        self._prefix = tuple(prefix.split("/")) if prefix else ()
        self._sink = sink
        self._directories: set[tuple[str, ...]] = {()}
        self._others: set[tuple[str, ...]] = set()

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = self._inside(member)
        if not parts:
            return
        if member.isdir():
            self._directory(parts)
            return
        if parts in self._others:
            raise unsafe(member.name, "stands there twice")
        self._others.add(parts)
        self._directory(parts[:-1])
        if member.issym():
            self._link(parts, member)
        elif member.isreg() and not member.issparse():
            content = cast("BinaryIO", archive.extractfile(member))
            self._sink.file(parts, content, member.size, bool(member.mode & stat.S_IXUSR))
        else:
            raise unsafe(member.name, "is neither a file, a folder nor a symbolic link")

    def _inside(self, member: tarfile.TarInfo) -> tuple[str, ...]:
        try:
            parts = check_path(member.name)
        except ValueError as error:
            raise unsafe(member.name, "leaves the layer") from error
        depth = len(self._prefix)
        if parts[:depth] == self._prefix:
            return parts[depth:]
        if member.isdir() and self._prefix[: len(parts)] == parts:
            return ()
        raise unsafe(member.name, f"is outside {'/'.join(self._prefix)}")

    def _directory(self, parts: tuple[str, ...]) -> None:
        for length in range(1, len(parts) + 1):
            above = parts[:length]
            if above not in self._directories:
                self._sink.directory(above)
                self._directories.add(above)

    def _link(self, parts: tuple[str, ...], member: tarfile.TarInfo) -> None:
        try:
            check_link("/".join(parts), member.linkname)
        except ValueError as error:
            raise unsafe(member.name, "links out of its tree") from error
        self._sink.link(parts, member.linkname)


class _Directory:
    """A directory that is being filled."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, parts: tuple[str, ...]) -> None:
        path = self._root.joinpath(*parts)
        try:
            path.mkdir()
            path.chmod(0o755)
        except FileExistsError as error:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise not_a_directory(parts) from error

    def link(self, parts: tuple[str, ...], target: str) -> None:
        self._free(parts).symlink_to(target)

    def file(self, parts: tuple[str, ...], content: BinaryIO, size: int, executable: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(self._free(parts), flags, 0o600), "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
            os.fchmod(file.fileno(), 0o755 if executable else 0o644)
            if file.tell() != size:
                raise DamagedLayer(f"{'/'.join(parts)} is cut short")

    def _free(self, parts: tuple[str, ...]) -> Path:
        path = self._root.joinpath(*parts)
        try:
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise unsafe("/".join(parts), "replaces a folder") from error
        return path


def not_a_directory(parts: tuple[str, ...]) -> UserError:
    """What is said of a folder that stands where an earlier layer has something else."""
    return UserError(
        f"This layer is not safe to unpack: {'/'.join(parts)!r} is a folder in it "
        "and something else before; build the bento again."
    )
