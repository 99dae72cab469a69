"""Files that are whole or absent: temporary names, fsync, rename, and what a full disk says."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bentofn.runtime.errors import UserError

_REMOVALS = 20
"""How often a directory that will not go is removed: a second's worth."""

TEMPORARY_PREFIX = ".bentofn-tmp-"
"""Start of the name of every file or directory that is not yet whole."""

CHUNK = 1 << 20
"""Bytes read or written at once."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class TemporaryFile:
    """A file under a temporary name, locked for as long as its writer lives.

    Args:
        path: Its temporary name.
        file: It, open for writing and reading.
    """

    path: Path
    file: BinaryIO


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turn the failures of a disk into sentences.

    Raises:
        UserError: The disk of ``directory`` is full, or the directory cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(
                f"The disk that holds {directory} is full; free some space there, or use another "
                "disk (BENTOFN_HOME says where bentofn keeps its files)."
            ) from error
        if error.errno in _FORBIDDEN:
            raise UserError(
                f"Cannot write in {directory} ({os.strerror(error.errno)}); make it writable, or "
                "use another directory (BENTOFN_HOME says where bentofn keeps its files)."
            ) from error
        raise


@contextmanager
def temporary_file(directory: Path) -> Iterator[TemporaryFile]:
    """Give a locked temporary file in ``directory``; it is removed if it was not published."""
    with writing(directory):
        path, descriptor = _create_locked_file(directory)
        with os.fdopen(descriptor, "w+b") as file:
            try:
                yield TemporaryFile(path, file)
            finally:
                path.unlink(missing_ok=True)


@contextmanager
def temporary_directory(directory: Path) -> Iterator[Path]:
    """Give a locked temporary directory in ``directory``; it is removed if it is still there."""
    with writing(directory):
        path, descriptor = _create_locked_directory(directory)
        try:
            yield path
        finally:
            try:
                remove_tree(path)
            except BaseException:  # Ctrl-C in the middle of it
                remove_tree(path)
                raise
            finally:
                os.close(descriptor)


def publish(temporary: TemporaryFile, target: Path, mode: int = 0o644) -> None:
    """Give a finished temporary file its name: flush, fsync, rename, fsync of the directory."""
    temporary.file.flush()
    os.fchmod(temporary.file.fileno(), mode)
    os.fsync(temporary.file.fileno())
    temporary.path.replace(target)
    sync_directory(target.parent)


def atomic_write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file's content so that readers and a kill see the old or the new, never a part.

    Raises:
        UserError: The disk is full or the directory cannot be written.
    """
    with temporary_file(path.parent) as temporary:
        temporary.file.write(data)
        publish(temporary, path, mode)


def make_directory(path: Path, mode: int = 0o755) -> Path:
    """Make a directory and its parents.

    Raises:
        UserError: The disk is full, the parent cannot be written, or a file stands in the way.
    """
    try:
        with writing(path):
            path.mkdir(mode=mode, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"Cannot make the directory {path}: a file stands at {error.filename}; move it away."
        ) from error
    return path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make what a file holds durable; it must be no link."""
    _sync(path, os.O_NOFOLLOW)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a file or a directory with all that it holds, whatever its modes; absent is fine."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for _ in range(_REMOVALS):
        for folder, _, _ in os.walk(path):
            with suppress(OSError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        # A child that is just being ended may have written between the listing and the removal.
        time.sleep(0.05)


def link_tree(source: Path, target: Path) -> None:
    """Make another name of every file of a tree, or a copy where the disk has no hard links.

    Args:
        source: The tree, whose files are from now on replaced, never written in place.
        target: Its new name; must not exist.
    """
    shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def clear_stale(path: Path) -> bool:
    """Remove a temporary file or directory unless a live process holds it.

    Returns:
        Whether it was removed.
    """
    with _held(path) as held:
        if not held:
            remove_tree(path)
        return not held


def is_stale(path: Path) -> bool:
    """Whether no live process holds a temporary file or directory."""
    with _held(path) as held:
        return not held


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield True
        return
    except OSError:
        yield False
        return
    try:
        yield not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create_locked_file(directory: Path) -> tuple[Path, int]:
    while True:
        path = _temporary_name(directory)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if _keep(path, descriptor):
            return path, descriptor


def _create_locked_directory(directory: Path) -> tuple[Path, int]:
    while True:
        path = _temporary_name(directory)
        path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        if _keep(path, descriptor):
            return path, descriptor


def _keep(path: Path, descriptor: int) -> bool:
    # A cleaner may have taken the lock, and the name away, between creation and this lock.
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if path.exists():
        return True
    os.close(descriptor)
    return False


def _temporary_name(directory: Path) -> Path:
    return directory / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
