"""RECORD files of installed distributions: which files are whose, with their hashes.

https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Collection
from pathlib import Path

from bentofn.packager.files import CHUNK


def records(tree: Path) -> list[Path]:
    """The RECORD files of an environment, sorted."""
    return sorted(tree.glob("*.dist-info/RECORD"))


def rows(record: Path) -> list[list[str]]:
    """The rows of a RECORD: path, hash and size."""
    return rows_of(record.read_text(encoding="utf-8"))


def rows_of(text: str) -> list[list[str]]:
    """The rows of a RECORD's text."""
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def inside(path: str) -> str | None:
    """A RECORD's path relative to the environment; None if it leads out of it."""
    # An installer writes scripts of a --target install as ../../bin/x, relative to site-packages.
    while path.startswith("../"):
        path = path[3:]
    return None if path.startswith("/") or ".." in path.split("/") else path


def recorded(tree: Path) -> list[str]:
    """Every file of an environment that a RECORD names and that is there, once, sorted."""
    paths = {inside(row[0]) for record in records(tree) for row in rows(record)}
    return sorted(path for path in paths if path and (tree / path).is_file())


def rewrite(tree: Path, record: Path, changed: Collection[str], gone: Collection[str]) -> None:
    """Make a RECORD true again; it is replaced, never written in place.

    Args:
        tree: The environment.
        record: The file.
        changed: Files whose content is another now; those of other distributions do not matter.
        gone: Files that were removed.
    """
    kept = []
    for row in rows(record):
        path = inside(row[0])
        if path in gone or path is None or "__pycache__" in path:
            continue
        kept.append(_hashed(tree, path) if path in changed else [path, *row[1:]])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(kept))
    partial = record.with_name("RECORD.new")
    partial.write_text(text.getvalue(), encoding="utf-8")
    partial.replace(record)


def _hashed(tree: Path, path: str) -> list[str]:
    digest = hashlib.sha256()
    with (tree / path).open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    encoded = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    return [path, f"sha256={encoded}", str((tree / path).stat().st_size)]
