"""Whether a snapshot is as it was, and the machine's files that it maps are."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.snapshot.boot import boot_id
from bentofn.packager.snapshot.digests import digest_file
from bentofn.packager.snapshot.mapped import what_changed
from bentofn.packager.snapshot.snapshot import Snapshot
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

VERIFIED = "verified"
"""Beside the record: in which boot, and at which times of its files, all digests were right."""


def why_unusable(snapshot: Snapshot) -> str | None:
    """Why a snapshot with the right key cannot be used, or None.

    Its bytes are read once a boot, and whenever a file of it looks changed; not per restore.

    Returns:
        What completes "the snapshot cannot be used: ...".
    """
    changed = what_changed(snapshot.mapped)
    if changed is not None:
        return changed
    try:
        seen = _seen(snapshot.path, snapshot)
        if _remembered(snapshot.path) == seen:
            return None
    except OSError:
        return verify(snapshot)
    damage = verify(snapshot)
    if damage is None:
        with suppress(OSError, UserError):  # then it is read again next time
            atomic_write(snapshot.path / VERIFIED, seen, 0o600)
    return damage


def verify(snapshot: Snapshot) -> str | None:
    """Read every byte of a snapshot; returns what is wrong, or None."""
    for file in snapshot.files:
        try:
            whole = digest_file(snapshot.path, file.path) == file
        except OSError as error:
            return f"{file.path} cannot be read ({error.strerror})"
        if not whole:
            return f"{file.path} is not as it was when it was taken (damaged or tampered with)"
    return None


def remember_verified(directory: Path, snapshot: Snapshot) -> None:
    """Write down that the digests of a snapshot's files, as they stand, are right.

    Args:
        directory: Where they stand.
        snapshot: What they are.

    Raises:
        OSError: A file is gone.
        UserError: The disk is full or the directory cannot be written.
    """
    atomic_write(directory / VERIFIED, _seen(directory, snapshot), 0o600)


def _remembered(directory: Path) -> bytes:
    try:
        return (directory / VERIFIED).read_bytes()
    except FileNotFoundError:
        return b""


def _seen(directory: Path, snapshot: Snapshot) -> bytes:
    seen = {}
    for file in snapshot.files:
        status = (directory / file.path).lstat()
        seen[file.path] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    return canonical_json({"boot": boot_id(), "files": seen})
