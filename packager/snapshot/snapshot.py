"""A snapshot as it stands on disk: its folder, and what ``snapshot.json`` says of it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bentofn.packager.snapshot.digests import FileDigest
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.mapped import MappedFile
from bentofn.packager.snapshot.texts import printable
from bentofn.runtime.manifest import canonical_json

RECORD = "snapshot.json"
IMAGES = "images"

MALFORMED = (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a record raises where it is none."""

_BLOCK = 512  # st_blocks counts these, whatever the disk's own are


@dataclass(frozen=True)
class Origin:
    """How a snapshot came about.

    Args:
        bento: The bento's tag, for people.
        created: When it was taken.
        seconds: What taking it took.
        mappings: How many mappings the process has.
    """

    bento: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    seconds: float = 0.0
    mappings: int = 0

    def to_json(self) -> dict[str, Any]:
        """The origin as JSON."""
        return {**asdict(self), "created": self.created.isoformat()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Origin:
        """Read an origin.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        bento = printable(raw["bento"], 4096)
        created = datetime.fromisoformat(raw["created"])
        if created.tzinfo is None:
            raise ValueError("created")
        return cls(bento, created, float(raw["seconds"]), int(raw["mappings"]))


@dataclass(frozen=True)
class Snapshot:
    """The memory of a started service.

    Args:
        path: Its folder, of its owner only; nothing in it is written any more.
        key: What it was taken of and on.
        origin: How it came about.
        files: What it holds, sorted by path.
        mapped: Files of the machine that it maps.
    """

    path: Path
    key: SnapshotKey
    origin: Origin
    files: tuple[FileDigest, ...]
    mapped: tuple[MappedFile, ...]

    @property
    def id(self) -> str:
        """32 hex digits."""
        return self.key.id

    @property
    def images(self) -> Path:
        """The folder that CRIU restores from."""
        return self.path / IMAGES

    @property
    def shareable(self) -> bool:
        """Whether it may leave this machine: it was taken without any secret."""
        return self.key.shareable

    @property
    def size(self) -> int:
        """Bytes of its files, holes included."""
        return sum(file.size for file in self.files)

    @property
    def disk_size(self) -> int:
        """Bytes that its files take on the disk."""
        return size_on_disk(self.path)

    @property
    def used(self) -> datetime:
        """When it was last taken, fetched or started from."""
        return datetime.fromtimestamp(self.path.stat().st_mtime, timezone.utc)

    def record(self) -> bytes:
        """The content of ``snapshot.json``."""
        return canonical_json(
            {
                "key": self.key.to_json(),
                "origin": self.origin.to_json(),
                "files": [file.to_json() for file in self.files],
                "mapped": [file.to_json() for file in self.mapped],
            }
        )

    @classmethod
    def from_record(cls, path: Path, data: bytes) -> Snapshot:
        """Read what ``snapshot.json`` says.

        Raises:
            MALFORMED: It is none.
        """
        raw: dict[str, Any] = json.loads(data)
        files = tuple(FileDigest.from_json(each) for each in raw["files"])
        return cls(
            path=path,
            key=SnapshotKey.from_json(raw["key"]),
            origin=Origin.from_json(raw["origin"]),
            files=files,
            mapped=tuple(MappedFile.from_json(each) for each in raw["mapped"]),
        )


def size_on_disk(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk."""
    return sum(each.stat().st_blocks * _BLOCK for each in folder.rglob("*"))


class Hold:
    """Keeps a snapshot from being removed, for as long as it is not closed.

    Args:
        descriptor: Of the snapshot's folder, which holds a shared lock; the kernel frees it when
            this process ends.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let it go; again, it does nothing."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
