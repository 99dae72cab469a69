"""Unpack a layer without trusting it: nothing is written outside the directory it goes to."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from bentofn.packager.files import CHUNK, writing
from bentofn.packager.layers.files import check_link, check_path
from bentofn.packager.layers.stream import (
    UNREADABLE,
    DamagedLayer,
    HashingReader,
    decompressor,
)
from bentofn.runtime.errors import UserError


def unpack_layer(blob: Path, media_type: str, digest: str, target: Path, prefix: str) -> None:
    """Unpack the entries below ``prefix`` into a directory, over what is there.

    The digest is computed on the way: on :class:`DamagedLayer` the target holds rubbish.

    Args:
        blob: The layer's blob.
        media_type: Its OCI media type, which says how it is compressed.
        digest: Digest of the blob.
        target: An existing directory.
        prefix: Path in the layer that becomes ``target``, such as ``opt/bento/env``; empty for all
            of it.

    Raises:
        DamagedLayer: The blob does not have the digest or is no archive.
        UserError: An entry is outside ``prefix``, leaves the target, or is neither file, folder
            nor symbolic link; or the disk is full.
    """
    try:
        file = blob.open("rb")
    except FileNotFoundError as error:
        raise DamagedLayer(f"{digest} is missing") from error
    with file:
        source = HashingReader(file)
        try:
            _unpack(decompressor(source, media_type), _Tree(target, prefix))
        except Exception as error:
            # Damage can look like anything, an unsafe entry too.
            if source.finish() != digest or isinstance(error, UNREADABLE):
                raise DamagedLayer(f"{digest}: {error}") from error
            raise
        if source.finish() != digest:
            raise DamagedLayer(f"{digest} is other bytes")


def _unpack(stream: BinaryIO, tree: _Tree) -> None:
    with writing(tree.root), tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
        for member in archive:
            tree.add(archive, member)


class _Tree:
    """A directory that is being filled from an archive."""

    def __init__(self, root: Path, prefix: str) -> None:
        self.root = root
        self._prefix = tuple(prefix.split("/")) if prefix else ()
        self._directories: set[tuple[str, ...]] = {()}

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = self._inside(member)
        if not parts:
            return
        if member.isdir():
            self._make_directory(parts)
            return
        self._make_directory(parts[:-1])
        path = self.root.joinpath(*parts)
        self._make_way(path, member)
        if member.issym():
            self._link(path, parts, member)
        elif member.isreg() and not member.issparse():
            self._write(path, cast("BinaryIO", archive.extractfile(member)), member)
        else:
            raise _unsafe(member, "is neither a file, a folder nor a symbolic link")

    def _inside(self, member: tarfile.TarInfo) -> tuple[str, ...]:
        try:
            parts = check_path(member.name)
        except ValueError as error:
            raise _unsafe(member, "leaves the layer") from error
        depth = len(self._prefix)
        if parts[:depth] == self._prefix:
            return parts[depth:]
        if member.isdir() and self._prefix[: len(parts)] == parts:
            return ()
        raise _unsafe(member, f"is outside {'/'.join(self._prefix)}")

    def _make_directory(self, parts: tuple[str, ...]) -> None:
        for length in range(1, len(parts) + 1):
            above = parts[:length]
            if above in self._directories:
                continue
            path = self.root.joinpath(*above)
            try:
                path.mkdir()
                path.chmod(0o755)
            except FileExistsError as error:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise UserError(
                        f"This layer is not safe to unpack: {'/'.join(above)!r} is a folder in it "
                        "and something else before; build the bento again."
                    ) from error
            self._directories.add(above)

    def _make_way(self, path: Path, member: tarfile.TarInfo) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unsafe(member, "replaces a folder") from error

    def _link(self, path: Path, parts: tuple[str, ...], member: tarfile.TarInfo) -> None:
        try:
            check_link("/".join(parts), member.linkname)
        except ValueError as error:
            raise _unsafe(member, "links out of its tree") from error
        path.symlink_to(member.linkname)

    def _write(self, path: Path, content: BinaryIO, member: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
            os.fchmod(file.fileno(), 0o755 if member.mode & stat.S_IXUSR else 0o644)
            if file.tell() != member.size:
                raise DamagedLayer(f"{member.name} is cut short")


def _unsafe(member: tarfile.TarInfo, why: str) -> UserError:
    return UserError(
        f"This layer is not safe to unpack: its entry {member.name!r} {why}; "
        "it was not made by bentofn, do not use it."
    )
