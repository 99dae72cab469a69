"""Blobs by digest: written under a temporary name, whole once they have their own."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.files import (
    CHUNK,
    TEMPORARY_PREFIX,
    TemporaryFile,
    make_directory,
    publish,
    sync_directory,
    temporary_file,
    writing,
)
from bentofn.packager.store.descriptors import check_digest
from bentofn.runtime.errors import UserError

BLOB_MODE = 0o444
"""Blobs are linked into model directories: a service must not change one in place."""


@dataclass(frozen=True)
class Blobs:
    """A directory of blobs named by their SHA-256.

    Args:
        directory: ``blobs/sha256`` of an OCI layout.
    """

    directory: Path

    def path(self, digest: str) -> Path:
        """Where a blob stands, or would stand."""
        return self.directory / check_digest(digest).removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether a blob is there."""
        return self.path(digest).is_file()

    def has_whole(self, digest: str, size: int) -> bool:
        """Whether a blob is there with this size; one that a crash of the disk cut short is not."""
        path = self.path(digest)
        return path.is_file() and path.stat().st_size == size

    def put_bytes(self, data: bytes) -> str:
        """Store bytes; returns their digest.

        Raises:
            UserError: The disk is full or the store cannot be written.
        """
        digest = digest_of(data)
        if not self._keep(digest, len(data)):
            with self.stage() as staged:
                staged.file.write(data)
                self.commit(staged, digest)
        return digest

    def put_file(self, source: Path, *, move: bool = False) -> tuple[str, int]:
        """Store a file; a blob that is already there is not written again.

        Args:
            source: The file.
            move: Whether the source may be taken instead of copied; it is gone afterwards.

        Returns:
            Its digest and its size in bytes.

        Raises:
            UserError: It cannot be read, the disk is full or the store cannot be written.
        """
        with open_source(source) as file:
            digest, size = hash_stream(file)
            stored = self._keep(digest, size) or (move and self._take(source, file, digest))
            if not stored:
                file.seek(0)
                digest, size = self._copy(file)
        if move:
            source.unlink(missing_ok=True)
        return digest, size

    def put_range(self, source: Path, offset: int, size: int) -> tuple[str, bool]:
        """Store a run of bytes of a file; a blob that is already there is not written again.

        Args:
            source: The file.
            offset: Of the first byte.
            size: Bytes.

        Returns:
            Its digest, and whether it was there already.

        Raises:
            UserError: The file cannot be read or became shorter, the disk is full or the store
                cannot be written.
        """
        with open_source(source) as file:
            digest = _hash_range(file, offset, size)
            if self._keep(digest, size):
                return digest, True
            with self.stage() as staged:
                digest = _hash_range(file, offset, size, staged.file)
                self.commit(staged, digest)
        return digest, False

    def stage(self) -> AbstractContextManager[TemporaryFile]:
        """A temporary file to write a blob into; gone afterwards unless it was committed."""
        return temporary_file(make_directory(self.directory))

    def commit(self, staged: TemporaryFile, digest: str) -> None:
        """Give a staged file, all written, its digest as its name."""
        staged.file.flush()
        if not self._keep(digest, os.fstat(staged.file.fileno()).st_size):
            publish(staged, self.path(digest), BLOB_MODE)

    def remove(self, digest: str) -> None:
        """Remove a blob; absent is fine."""
        with writing(self.directory):
            self.path(digest).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[tuple[str, int]]:
        """Digest and bytes of the blobs that nobody put for so long."""
        limit = time.time() - seconds
        with os.scandir(self.directory) as found:
            for blob in found:
                status = blob.stat()
                if not blob.name.startswith(TEMPORARY_PREFIX) and status.st_mtime <= limit:
                    yield f"sha256:{blob.name}", status.st_size

    def _keep(self, digest: str, size: int) -> bool:
        """Whether the blob is there, whole by its size; its age then starts anew."""
        path = self.path(digest)
        try:
            if path.stat().st_size != size:
                return False
            with writing(self.directory):
                os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _take(self, source: Path, file: BinaryIO, digest: str) -> bool:
        status = os.fstat(file.fileno())
        directory = make_directory(self.directory)
        # A file with other names could be changed through them after it became a blob.
        if source.is_symlink() or status.st_nlink != 1 or status.st_dev != _device(directory):
            return False
        with writing(directory):
            os.fchmod(file.fileno(), BLOB_MODE)
            os.fsync(file.fileno())
            source.replace(self.path(digest))
            os.utime(self.path(digest))
            sync_directory(directory)
        return True

    def _copy(self, file: BinaryIO) -> tuple[str, int]:
        with self.stage() as staged:
            digest, size = hash_stream(file, staged.file)
            self.commit(staged, digest)
        return digest, size


def digest_of(data: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def open_source(path: Path) -> BinaryIO:
    """Open a user's file.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(
            f"Cannot read {path} ({os.strerror(error.errno or 0)}); "
            "check that it exists and is readable."
        ) from error


def hash_stream(file: BinaryIO, copy_to: BinaryIO | None = None) -> tuple[str, int]:
    """Read a stream to its end; returns its digest and its size, and copies it if asked."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
    return f"sha256:{digest.hexdigest()}", size


def _hash_range(file: BinaryIO, offset: int, size: int, copy_to: BinaryIO | None = None) -> str:
    digest = hashlib.sha256()
    file.seek(offset)
    while size:
        chunk = file.read(min(size, CHUNK))
        if not chunk:
            raise UserError(f"{file.name} became shorter while it was read; try again.")
        digest.update(chunk)
        size -= len(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
    return f"sha256:{digest.hexdigest()}"


def _device(path: Path) -> int:
    return path.stat().st_dev
