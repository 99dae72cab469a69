"""What a service compiled while it answered its examples, as the entries of a layer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.layers import LayerFile
from bentofn.runtime.kept.layer import FILES, RECORD, Kept
from bentofn.runtime.layout import ARCHIVE_PREFIX

COMPILED = "compiled"
"""The directory of a bento's root; also the kind of the layer."""

_LEFT_OUT = ("locks", "bin")
_UNFINISHED = (".lock", ".tmp")


@dataclass(frozen=True)
class Collected:
    """What was compiled.

    Args:
        kept: On what, and by what.
        files: Path below :data:`FILES` to the file.
    """

    kept: Kept
    files: dict[str, Path]

    @property
    def id(self) -> str:
        """The name of its directory: one for each class of machines."""
        host = self.kept.host
        text = "\0".join([host.machine, *host.features, host.gpu, host.driver, host.compiler])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def entries(self) -> Iterator[LayerFile]:
        """The entries of its layer."""
        place = f"{ARCHIVE_PREFIX}/{COMPILED}/{self.id}"
        yield LayerFile(f"{place}/{RECORD}", self.kept.to_json())
        for path, file in self.files.items():
            yield LayerFile(f"{place}/{FILES}/{path}", file)


def collect(directory: Path) -> Collected | None:
    """Read the directory in which a process compiled; None where it compiled nothing.

    What was kept before and linked to is part of it.

    Args:
        directory: It; nobody writes to it any more.
    """
    try:
        kept = Kept.from_json((directory / RECORD).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    found = {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / RECORD and _is_whole(path, directory)
    }
    return Collected(kept, found) if found else None


def _is_whole(path: Path, directory: Path) -> bool:
    folders = path.relative_to(directory).parts[:-1]
    return not path.name.endswith(_UNFINISHED) and not any(each in _LEFT_OUT for each in folders)
