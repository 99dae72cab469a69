"""A snapshot that is being made: whole and durable before it has its name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import (
    atomic_write,
    sync_directory,
    sync_file,
    temporary_directory,
    writing,
)
from bentofn.packager.home import Home
from bentofn.packager.snapshot.digests import digest_file
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.mapped import describe_mapped
from bentofn.packager.snapshot.snapshot import RECORD, Origin, Snapshot
from bentofn.packager.snapshot.verification import remember_verified


@dataclass(frozen=True)
class Stage:
    """A snapshot that is being made.

    Args:
        directory: Where its files go, a folder of its owner only.
        final: Where it will stand; names inside the images use this.
        key: What it is taken of and on.
        home: The home.
    """

    directory: Path
    final: Path
    key: SnapshotKey
    home: Home

    def publish(self, origin: Origin, mapped: Iterable[Path]) -> Snapshot:
        """Give the snapshot its name: digests, fsync, rename.

        Args:
            origin: How it came about.
            mapped: The files of the machine that its memory maps.

        Raises:
            UserError: The disk is full or the home cannot be written.
        """
        with writing(self.directory):
            files = tuple(digest_file(self.directory, path) for path in _settle(self.directory))
            outside = describe_mapped(mapped, self.home.path)
            made = Snapshot(self.final, self.key, origin, files, outside)
            self.publish_as(made)
        return made

    def publish_as(self, snapshot: Snapshot) -> None:
        """Give a snapshot whose digests are known to be right its name.

        Raises:
            UserError: The disk is full or the home cannot be written.
        """
        with writing(self.directory):
            atomic_write(self.directory / RECORD, snapshot.record(), 0o600)
            _settle(self.directory)
            remember_verified(self.directory, snapshot)
            if self.final.exists():  # a damaged one, which get() does not know
                discard(self.final)
            self.directory.rename(self.final)
            sync_directory(self.final.parent)


def _settle(directory: Path) -> list[str]:
    """Make all of a folder durable and its owner's only; gives its files, sorted."""
    paths = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o600)
            sync_file(path)
            paths.append(path.relative_to(directory).as_posix())
        Path(folder).chmod(0o700)
        sync_directory(Path(folder))
    return sorted(paths)


def discard(path: Path) -> None:
    """Take a folder's name away at once, then its files."""
    with temporary_directory(path.parent) as bin_:
        path.rename(bin_ / path.name)
