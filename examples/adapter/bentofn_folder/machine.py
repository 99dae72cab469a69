"""The backend: a folder of files. Every method is one call, and done whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bentofn.packager.files import atomic_write
from bentofn.runtime.errors import UserError


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Say in one sentence what could not be written."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error.strerror or str(error)) from error


def refusal(path: str, why: str) -> UserError:
    """What is told of a call that the folder refused."""
    return UserError(
        f"Target folder cannot write {path}: {why}; check the folder's permissions and free space."
    )


class Machine:
    """What an adapter asks of the folder; paths are relative to it, with slashes.

    Args:
        folder: Made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str) -> Any:
        """A document, or None where there is none."""
        try:
            return json.loads((self.folder / path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def names(self, path: str) -> list[str]:
        """The names in a folder, in order."""
        folder = self.folder / path
        return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []

    def write(self, path: str, document: Any) -> None:
        """Write a document in the place of what is there."""
        target = self.folder / path
        with _told(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(target, json.dumps(document, sort_keys=True).encode(), 0o600)

    def upload(self, path: str, source: Path) -> None:
        """Copy a file."""
        target = self.folder / path
        with _told(path), contextlib.ExitStack() as stack:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.{os.getpid()}")
            stack.callback(partial.unlink, missing_ok=True)
            shutil.copyfile(source, partial)
            partial.replace(target)

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that are empty without it."""
        target = self.folder / path
        with _told(path):
            target.unlink(missing_ok=True)
            for folder in target.parents:
                if folder == self.folder or any(folder.iterdir()):
                    return
                folder.rmdir()

    def everything(self) -> Iterator[str]:
        """The paths of all files."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield path.relative_to(self.folder).as_posix()
