"""What a service compiled while it answered its examples, as the entries of a layer."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.kept.normal import is_own, normal
from bentofn.packager.layers import LayerFile
from bentofn.runtime.kept.host import Host
from bentofn.runtime.kept.layer import FILES, RECORD, Kept
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json

COMPILED = "compiled"
"""The directory of a bento's root; also the kind of the layer."""

_SHOWN = 3
_LEFT_OUT = ("locks", "bin")
_UNFINISHED = (".lock", ".tmp")


@dataclass(frozen=True)
class Collected:
    """What was compiled.

    Args:
        kept: On what, and by what.
        files: Path below :data:`FILES` to the file.
        places: Where the service and its compilers stood; none of it is kept.
    """

    kept: Kept
    files: dict[str, Path]
    places: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name of its directory: one for each class of machines."""
        return directory_of(self.kept.host)

    @property
    def summary(self) -> str:
        """What it is, and how large, for people."""
        what = ", ".join(self.kept.what[:_SHOWN]) + (", ..." if self.kept.what[_SHOWN:] else "")
        size = sum(file.stat().st_size for file in self.files.values())
        return f"{size / 1e6:.1f} MB: {what}"

    def entries(self) -> Iterator[LayerFile]:
        """The entries of its layer."""
        place = f"{ARCHIVE_PREFIX}/{COMPILED}/{self.id}"
        yield LayerFile(f"{place}/{RECORD}", self.kept.to_json())
        for path, source in self.contents():
            yield LayerFile(f"{place}/{FILES}/{path}", source)

    def contents(self) -> Iterator[tuple[str, bytes | Path]]:
        """The files as they are kept: path below :data:`FILES`, and the content or where it is."""
        for path, file in self.files.items():
            yield (path, file) if is_own(path) else normal(path, file.read_bytes(), self.places)


def directory_of(host: Host) -> str:
    """A name for a class of machines."""
    return hashlib.sha256(canonical_json(host)).hexdigest()[:16]


def collect(
    directory: Path, before: Sequence[Path] = (), places: Sequence[Path] = ()
) -> Collected | None:
    """Read the directory in which a process compiled; None where it compiled nothing.

    The process may have been kept from files that its reader can read: links that lead elsewhere
    than to what was kept before are not followed.

    Args:
        directory: It; nobody writes to it any more.
        before: Where that is, which is part of what is kept now.
        places: Where the service and its compilers stood.
    """
    inside = [os.path.realpath(each) for each in (directory, *before)]

    def leads_inside(path: Path) -> bool:
        real = os.path.realpath(path)
        return os.path.isfile(real) and any(real.startswith(f"{each}/") for each in inside)  # noqa: PTH113

    if not leads_inside(directory / RECORD):
        return None
    try:
        kept = Kept.from_json((directory / RECORD).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    found = {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.parent != directory and leads_inside(path) and _is_whole(path, directory)
    }
    return Collected(kept, found, tuple(map(str, places))) if found else None


def _is_whole(path: Path, directory: Path) -> bool:
    folders = path.relative_to(directory).parts[:-1]
    return not path.name.endswith(_UNFINISHED) and not any(each in _LEFT_OUT for each in folders)
