"""The list of what a first answer asked for: files, why, and which of their pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bentofn.packager.fuse.tree import Node, Tree
from bentofn.packager.layers.files import check_path
from bentofn.packager.layers.toc import MAX_FILE
from bentofn.packager.prefetch.blocks import NO_BLOCKS, Blocks
from bentofn.packager.store.descriptors import check_digest
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

PAGE = 4096
"""Bytes of a page; the kernel asks for whole ones."""

SCHEMA = 1
MAX_LIST = 32 << 20
"""Bytes of a list that is read; that of a large service has a few hundred thousand."""

Range = tuple[int, int]
"""First byte and bytes; the first is at a page's start, and only a file's last page is cut."""

_MALFORMED = (UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_REASONS = ("stat", "open", "read")
PLACES = ("env", "models")
"""Where in a bento's root a file stands; each has a pack of its own, in this order."""


@dataclass(frozen=True)
class HotFile:
    """A file that was asked for.

    Args:
        path: Where it stands in the bento's root, such as ``env/torch/__init__.py``.
        size: Its bytes.
        why: How: ``stat``, ``open`` and ``read``, in this order.
        ranges: What was read of it, ascending, without overlaps.
        packed: Those of them that the pack has.
    """

    path: str
    size: int
    why: tuple[str, ...]
    ranges: tuple[Range, ...] = ()
    packed: tuple[Range, ...] = ()

    @property
    def bytes(self) -> int:
        """How much was read of it."""
        return sum(size for _, size in self.ranges)


@dataclass(frozen=True)
class Trace:
    """What a first answer asked for.

    Args:
        files: By path.
        pages: Whether single pages were seen; else a file that was opened counts as read whole.
        blocks: Digests of blocks of the weights.
        early: Digests of parts of models that are hot nearly everywhere: they are fetched as they
            are, and their pages are not in the pack.
    """

    files: tuple[HotFile, ...]
    pages: bool = True
    blocks: Blocks = NO_BLOCKS
    early: tuple[str, ...] = ()

    @property
    def packed(self) -> Iterator[tuple[HotFile, int, int]]:
        """What the packs hold in their order: a file, where a range of it starts, its bytes."""
        for file in self.files:
            for offset, size in file.packed:
                yield file, offset, size

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packs, unpacked."""
        return sum(size for _, _, size in self.packed)

    def below(self, place: str) -> Trace:
        """What was asked for below a path in the bento's root."""
        files = tuple(file for file in self.files if file.path.startswith(f"{place}/"))
        return replace(self, files=files)

    def to_json(self) -> bytes:
        """The list as canonical JSON; ranges are counted in pages."""
        files = [
            {
                "path": file.path,
                "size": file.size,
                "why": list(file.why),
                "pages": _in_pages(file.ranges),
                "packed": _in_pages(file.packed),
            }
            for file in self.files
        ]
        return canonical_json(
            {
                "schema": SCHEMA,
                "seen": self.pages,
                "files": files,
                "blocks": self.blocks.to_plain(),
                "early": list(self.early),
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Trace:
        """Read a list that may come from anywhere.

        Raises:
            UserError: It is none, or says what cannot be.
        """
        try:
            if len(data) > MAX_LIST:
                raise ValueError("it is too long")
            raw = json.loads(data)
            if raw["schema"] != SCHEMA:
                raise ValueError(f"it has schema {raw['schema']!r}")
            files = tuple(_file(item) for item in raw["files"])
            if [file.path for file in files] != sorted({file.path for file in files}):
                raise ValueError("its files are not in order")
            blocks = Blocks.from_plain(raw["blocks"])
            early = tuple(check_digest(str(digest)) for digest in raw["early"])
        except _MALFORMED as error:
            raise UserError(
                f"The list of what to fetch first cannot be used ({str(error)[:200]}); "
                "build and push the bento again."
            ) from error
        return cls(files, bool(raw["seen"]), blocks, early)


class Recorder:
    """Notes what a file system is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._why: dict[str, set[str]] = {}
        self._pages: dict[str, set[int]] = {}

    def found(self, node: Node) -> None:
        """See :class:`bentofn.packager.fuse.filesystem.Watcher`."""
        self._note(node, "stat")

    def opened(self, node: Node) -> None:
        """See :class:`bentofn.packager.fuse.filesystem.Watcher`."""
        self._note(node, "open")

    def read(self, node: Node, offset: int, size: int) -> None:
        """See :class:`bentofn.packager.fuse.filesystem.Watcher`."""
        with self._lock:
            self._why.setdefault(node.path, set()).add("read")
            pages = self._pages.setdefault(node.path, set())
            pages.update(range(offset // PAGE, -(-(offset + size) // PAGE)))

    def trace(self, tree: Tree) -> Trace:
        """What was noted, with nothing packed yet.

        Args:
            tree: What was asked.
        """
        sizes = {node.path: node.content.size for node in tree.nodes() if node.content}
        return Trace(
            tuple(
                HotFile(
                    path,
                    sizes[path],
                    tuple(reason for reason in _REASONS if reason in why),
                    runs(self._pages.get(path, ()), sizes[path]),
                )
                for path, why in sorted(self._why.items())
                if path in sizes
            )
        )

    def _note(self, node: Node, why: str) -> None:
        with self._lock:
            self._why.setdefault(node.path, set()).add(why)


def runs(pages: Iterable[int], size: int) -> tuple[Range, ...]:
    """Pages of a file as ranges of bytes.

    Args:
        pages: Their numbers.
        size: The file's bytes.
    """
    found: list[list[int]] = []
    for page in sorted(set(pages)):
        if found and page == found[-1][1]:
            found[-1][1] = page + 1
        else:
            found.append([page, page + 1])
    return tuple(
        (first * PAGE, min(end * PAGE, size) - first * PAGE)
        for first, end in found
        if first * PAGE < size
    )


def whole_file(path: str, size: int) -> HotFile:
    """A file of which every page counts as read."""
    return HotFile(path, size, ("open", "read"), ((0, size),) if size else ())


def _file(raw: Mapping[str, Any]) -> HotFile:
    path, size = str(raw["path"]), raw["size"]
    if check_path(path)[0] not in PLACES or "/".join(check_path(path)) != path:
        raise ValueError(f"it names {path[:200]!r}")
    if not isinstance(size, int) or not 0 <= size <= MAX_FILE:
        raise ValueError(f"{path!r} has size {str(size)[:40]}")
    why = tuple(reason for reason in _REASONS if reason in raw["why"])
    ranges = _ranges(path, size, raw["pages"])
    packed = _ranges(path, size, raw["packed"])
    return HotFile(path, size, why, ranges, packed)


def _in_pages(ranges: Sequence[Range]) -> list[list[int]]:
    return [[offset // PAGE, -(-size // PAGE)] for offset, size in ranges]


def _ranges(path: str, size: int, raw: Sequence[Sequence[int]]) -> tuple[Range, ...]:
    reached = 0
    ranges = []
    for first, count in raw:
        if not (isinstance(first, int) and isinstance(count, int)):
            raise ValueError(f"the pages of {path!r} are no numbers")
        if first < reached or count < 1 or (first + count - 1) * PAGE >= size:
            raise ValueError(f"{path!r} has no pages {first} to {first + count - 1}")
        reached = first + count
        ranges.append((first * PAGE, min(reached * PAGE, size) - first * PAGE))
    return tuple(ranges)
