"""Files that a snapshot maps and does not hold: the interpreter, the C library, what they load.

Memory points into them, so another version of one of them is another program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MappedFile:
    """A file as it was when the snapshot was taken.

    Args:
        path: Absolute.
        size: Bytes.
        mtime_ns: When it was changed, by the clock of that machine.
        digest: blake3 of its content, in hex.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """The file as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> MappedFile:
        """Read a file.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        path, digest = raw["path"], raw["digest"]
        size, mtime_ns = raw["size"], raw["mtime_ns"]
        if not isinstance(path, str) or not path.startswith("/") or not path.isprintable():
            raise ValueError("path")
        if not isinstance(digest, str) or type(size) is not int or type(mtime_ns) is not int:
            raise TypeError("digest, size, mtime_ns")
        return cls(path, size, mtime_ns, digest)


def describe_mapped(paths: Iterable[Path], home: Path) -> tuple[MappedFile, ...]:
    """Read the files that a snapshot maps.

    Args:
        paths: All that it maps, in any order and more than once.
        home: The home; what stands there is addressed by its content, so that the bento's digest
            and the root's path say it already.

    Raises:
        OSError: One cannot be read.
    """
    own = home.resolve()
    outside = sorted({path for path in paths if not path.is_relative_to(own)})
    return tuple(_describe(path) for path in outside if path.is_file())


def what_changed(files: Sequence[MappedFile], *, trust_times: bool = True) -> str | None:
    """Why memory that maps these files does not fit any more, or None.

    Args:
        files: As they were.
        trust_times: Whether a file of the same size and time is not read; not for a snapshot
            that another machine took.

    Returns:
        What completes "the snapshot cannot be used: ...".
    """
    for file in files:
        path = Path(file.path)
        try:
            status = path.stat()
            if trust_times and (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns):
                continue
            if status.st_size != file.size or _digest(path) != file.digest:
                return f"{path.name} is another than it was then ({path} was upgraded or replaced)"
        except OSError:
            return f"{path} is gone"
    return None


def _describe(path: Path) -> MappedFile:
    status = path.stat()
    return MappedFile(str(path), status.st_size, status.st_mtime_ns, _digest(path))


def _digest(path: Path) -> str:
    from blake3 import blake3

    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
