"""The snapshots of a home: taken by one, used by many, whole or absent, never too many.

``<home>/snapshots/<id>/`` holds ``snapshot.json``, ``images/`` and whatever else belongs to the
memory. All of it is made under a temporary name and renamed once, and not written again: the
untouched pages of a running instance follow the file.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bentofn.packager.files import TEMPORARY_PREFIX, clear_stale, temporary_directory, writing
from bentofn.packager.home import Home
from bentofn.packager.snapshot.key import SnapshotKey, snapshots_directory
from bentofn.packager.snapshot.snapshot import MALFORMED, RECORD, Hold, Snapshot, size_on_disk
from bentofn.packager.snapshot.stage import Stage, discard
from bentofn.runtime.errors import UserError

_ID = re.compile(r"[0-9a-f]{32}")


class SnapshotStore:
    """The snapshots of one home; any number of processes may use it at once.

    Args:
        home: The home.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.path = home.snapshots

    def path_of(self, key: SnapshotKey) -> Path:
        """Where a snapshot stands, or would stand."""
        return self.path / key.id

    def get(self, key: SnapshotKey) -> Snapshot | None:
        """The snapshot with a key, or None."""
        found = self._read(self.path_of(key))
        return found if found is not None and found.key == key else None

    def list(self) -> tuple[Snapshot, ...]:
        """Every snapshot, the last used first."""
        found = []
        for snapshot in map(self._read, self._folders()):
            with suppress(FileNotFoundError):  # removed meanwhile
                if snapshot is not None:
                    found.append((snapshot.used, snapshot))
        found.sort(key=lambda pair: pair[0], reverse=True)
        return tuple(snapshot for _, snapshot in found)

    def unreadable(self) -> tuple[Path, ...]:
        """Folders whose record is damaged, or of another version of bentofn."""
        return tuple(sorted(path for path in self._folders() if self._read(path) is None))

    def of_bento(self, digest: str) -> tuple[Snapshot, ...]:
        """The snapshots of a bento, the last used first."""
        return tuple(each for each in self.list() if each.key.bento == digest)

    def find(self, prefix: str) -> Snapshot:
        """The snapshot whose id begins so.

        Raises:
            UserError: There is none, or there are several.
        """
        found = [each for each in self.list() if each.id.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        problem = f"{len(found)} snapshots begin with" if found else "There is no snapshot"
        raise UserError(f"{problem} {prefix}; `bentofn snapshot list` shows what there is.")

    @contextmanager
    def stage(
        self,
        key: SnapshotKey,
        waiting: Callable[[str], None] | None = None,
        called_off: threading.Event | None = None,
    ) -> Iterator[Stage]:
        """Make a snapshot; nobody else makes the same meanwhile.

        Look with :meth:`get` once more inside: another process may have just made it.

        Args:
            key: What it is taken of and on.
            waiting: Told if somebody else is making it.
            called_off: Set from another thread when nobody wants it any more.

        Raises:
            UserError: The disk is full, the home cannot be written, or it was called off.
        """
        directory = snapshots_directory(self.home)
        with self.home.lock(f"snapshot-{key.id}", waiting=waiting, called_off=called_off):
            for left in directory.glob(f"{TEMPORARY_PREFIX}*"):
                clear_stale(left)
            with temporary_directory(directory) as staging:
                yield Stage(staging, self.path_of(key), key, self.home)

    def hold(self, snapshot: Snapshot) -> Hold | None:
        """Keep a snapshot from being removed; None if it just was.

        It counts as used now.
        """
        try:
            descriptor = os.open(snapshot.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        hold = Hold(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            if os.path.samestat(os.fstat(descriptor), snapshot.path.stat()):
                os.utime(descriptor)
                return hold
        except FileNotFoundError:
            pass
        hold.close()
        return None

    def delete(self, snapshot: Snapshot, *, force: bool = False) -> None:
        """Remove a snapshot.

        Args:
            snapshot: It.
            force: Whether even one that a platform starts instances from. Those that run go on:
                the kernel keeps the pages that they map.

        Raises:
            UserError: A platform starts instances from it, or it cannot be removed.
        """
        if not self._remove(snapshot.path, force=force):
            raise _in_use(snapshot)

    def refuse_if_used(self, snapshot: Snapshot) -> None:
        """Refuse what :meth:`delete` would refuse, and remove nothing.

        Raises:
            UserError: A platform starts instances from the snapshot.
        """
        with suppress(FileNotFoundError):
            descriptor = os.open(snapshot.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _in_use(snapshot) from None
            finally:
                os.close(descriptor)

    def trim(self, limit: int, keep: Sequence[Path] = ()) -> tuple[Path, ...]:
        """Remove the snapshots that were not used for longest until all take at most so much.

        Args:
            limit: Bytes on the disk of all snapshots together; 0 for no limit. Folders that
                another version of bentofn wrote count too.
            keep: Paths of snapshots that stay; those in use stay too.

        Returns:
            What was removed.
        """
        if limit <= 0:
            return ()
        folders = [(_used(path), _size(path), path) for path in self._folders()]
        total = sum(size for _, size, _ in folders)
        removed = []
        for _, size, path in sorted(folders):
            if total <= limit:
                break
            if path not in keep and self._remove(path, force=False):
                total -= size
                removed.append(path)
        return tuple(removed)

    def _folders(self) -> tuple[Path, ...]:
        try:
            return tuple(sorted(p for p in self.path.iterdir() if _ID.fullmatch(p.name)))
        except FileNotFoundError:
            return ()

    def _remove(self, path: Path, *, force: bool) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return True
        try:
            if not force:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with writing(self.path), suppress(FileNotFoundError):
                discard(path)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _read(self, path: Path) -> Snapshot | None:
        try:
            found = Snapshot.from_record(path, (path / RECORD).read_bytes())
        except (OSError, *MALFORMED):
            return None
        return found if found.id == path.name else None


def _in_use(snapshot: Snapshot) -> UserError:
    return UserError(
        f"Snapshot {snapshot.id[:12]} of {snapshot.origin.bento} is in use; remove the function "
        "that starts from it first (`bentofn destroy`), or use --force: its instances run on, and "
        "the next start is plain."
    )


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):  # removed meanwhile
        return size_on_disk(path)
    return 0


def _used(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
