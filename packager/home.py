"""The directory that holds a user's bentos, models, deployments and caches."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import (
    TEMPORARY_PREFIX,
    is_stale,
    make_directory,
    remove_tree,
    writing,
)
from bentofn.packager.locks import locked
from bentofn.runtime.errors import UserError

_LOCK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Home:
    """A user's state.

    Args:
        path: The directory; made, readable by its owner only, when something is first written.
    """

    path: Path

    @classmethod
    def default(cls) -> Home:
        """``$BENTOFN_HOME``, or ``~/.bentofn``."""
        value = os.environ.get("BENTOFN_HOME")
        return cls(Path(value).expanduser().absolute() if value else Path.home() / ".bentofn")

    @property
    def store(self) -> Path:
        """The OCI image layout of bentos and models."""
        return self.path / "store"

    @property
    def cache(self) -> Path:
        """What can be made again, at a price."""
        return self.path / "cache"

    @property
    def roots(self) -> Path:
        """Bento roots, one directory a bento, made of links into :attr:`unpacked`."""
        return self.path / "roots"

    @property
    def unpacked(self) -> Path:
        """Unpacked layers, one tree a group of layers."""
        return self.path / "unpacked"

    @property
    def images(self) -> Path:
        """Trees as EROFS images, to be mounted."""
        return self.path / "images"

    @property
    def mounted(self) -> Path:
        """Where trees are mounted, in the private namespace of who runs from them."""
        return self.path / "mounted"

    @property
    def models(self) -> Path:
        """Models as directories, ``<name>/<version>``."""
        return self.path / "models"

    @property
    def snapshots(self) -> Path:
        """Memory of started services, one directory a snapshot."""
        return self.path / "snapshots"

    @property
    def compiled(self) -> Path:
        """Compiled code beside bentos, one directory a bento (:mod:`bentofn.packager.kept`)."""
        return self.path / "compiled"

    @property
    def logs(self) -> Path:
        """Logs of the local platform."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Sockets and process ids."""
        return self.path / "run"

    @property
    def locks(self) -> Path:
        """Lock files; empty, and kept."""
        return self.path / "locks"

    @property
    def deployments_db(self) -> Path:
        """The SQLite database of deployments."""
        return self.path / "deployments.db"

    @property
    def tasks(self) -> Path:
        """The SQLite databases of tasks, one a function."""
        return self.path / "tasks"

    @property
    def invocations(self) -> Path:
        """Lambda's aliases and waiting events, and the records of those that are over."""
        return self.path / "invocations"

    @property
    def schedules(self) -> Path:
        """What is remembered of the functions' schedules, one file a function."""
        return self.path / "schedules"

    def create(self) -> Home:
        """Make the directory, readable by its owner only; one that exists keeps its mode.

        Raises:
            UserError: It cannot be made.
        """
        make_directory(self.path, 0o700)
        return self

    def directory(self, path: Path) -> Path:
        """Make one of the home's directories, such as ``home.directory(home.cache)``.

        Raises:
            UserError: It cannot be made.
        """
        self.create()
        return make_directory(path)

    @contextmanager
    def lock(
        self,
        name: str,
        *,
        shared: bool = False,
        waiting: Callable[[str], None] | None = None,
        called_off: threading.Event | None = None,
    ) -> Iterator[None]:
        """Hold the lock ``name`` among all processes and threads that use this home.

        It is not reentrant. The kernel frees it when its holder dies.

        Args:
            name: Letters, digits, ``.``, ``_`` and ``-``.
            shared: Whether other shared holders are let in.
            waiting: Called once with a message if somebody else holds the lock.
            called_off: Set from another thread when nobody wants it any more.

        Raises:
            UserError: The home cannot be written, or it was called off.
        """
        descriptor = self._open_lock(name)
        try:
            operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting(f"Waiting for another bentofn process that holds {name!r}...")
                if called_off is None:
                    fcntl.flock(descriptor, operation)
                elif not locked(descriptor, operation, called_off):
                    raise UserError("It was called off.") from None
            yield
        finally:
            _unlock(descriptor)

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Like :meth:`lock`, exclusive, but gives False at once when somebody else holds it."""
        descriptor = self._open_lock(name)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            _unlock(descriptor)

    def _open_lock(self, name: str) -> int:
        if not _LOCK_NAME.fullmatch(name):
            raise ValueError(f"not a lock name: {name!r}")
        directory = self.directory(self.locks)
        with writing(directory):
            return os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o600)


def leftovers(home: Home) -> list[Path]:
    """Temporary files and directories that a killed process left in a home.

    Those that a live process holds are not among them.
    """
    return [path for path in _temporaries(home) if is_stale(path)]


def remove_own_leftovers(home: Home) -> None:
    """Remove what this process has under temporary names, for when it was interrupted.

    A signal may come between the making of a file and the start of the block that removes it.
    """
    for path in _temporaries(home):
        if path.name.startswith(f"{TEMPORARY_PREFIX}{os.getpid()}-"):
            remove_tree(path)


def _temporaries(home: Home) -> list[Path]:
    found: list[Path] = []
    whole = {home.unpacked, home.mounted, home.roots}
    for folder, directories, files in os.walk(home.path):
        here = Path(folder)
        temporary = [n for n in (*directories, *files) if n.startswith(TEMPORARY_PREFIX)]
        found += [here / name for name in temporary]
        if here in whole:
            directories.clear()
        directories[:] = [name for name in directories if not name.startswith(TEMPORARY_PREFIX)]
    return sorted(found)


def _unlock(descriptor: int) -> None:
    # Explicitly, because a child that was forked meanwhile holds the same open file.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
