"""CRIU's image files, read into dataclasses and written back.

An image is one or two magic numbers, then entries: a length of four bytes, little endian, and a
protobuf message. What we do not know of a message (``rest``) is written back as it was.

Source: https://criu.org/Images
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from bentofn.packager.snapshot.criu.schema import message_class
from bentofn.runtime.errors import UserError

COMMON = 0x54564319
"""First word of every image but the inventory; the kind of image follows."""

INVENTORY, PROCESSES, MEMORY, PAGEMAP, FILES = (
    0x58313116,
    0x50273030,
    0x57492820,
    0x56084025,
    0x56303138,
)
"""Magic numbers of the images that we read."""

VERSIONS = (1, 2)
"""The versions of the format of images that CRIU 4 writes."""

REGULAR_FILE = 1
"""``FileEntry.type`` of a file with a name."""

RUN_PRESENT, RUN_LAZY = 4, 2
"""``PageRun.flags``: the pages stand in the pages file; they may also be sent later."""

_Message = TypeVar("_Message", "RegularFile", "Vma", "PageRun")


@dataclass(frozen=True)
class RegularFile:
    """A file that a process has open or mapped; ``name`` is absolute, ``size`` in bytes."""

    id: int
    flags: int
    pos: int
    name: str
    fown: bytes = b""
    mnt_id: int | None = None
    size: int | None = None
    ext: bool | None = None
    mode: int | None = None
    build_id: tuple[int, ...] = ()
    checksum: int | None = None
    checksum_config: int | None = None
    checksum_parameter: int | None = None
    rest: bytes = b""


@dataclass(frozen=True)
class FileEntry:
    """An entry of files.img; ``reg`` is None for what is not a regular file."""

    type: int
    id: int
    reg: RegularFile | None = None
    rest: bytes = b""


@dataclass(frozen=True)
class Vma:
    """A mapping: addresses and ``pgoff`` in bytes, ``prot`` and ``flags`` as mmap takes them.

    ``shmid`` is the id of the mapped file, ``status`` what CRIU knows of the mapping, and bit n of
    ``madv`` says that madvise(n) holds for it.
    """

    start: int
    end: int
    pgoff: int
    shmid: int
    prot: int
    flags: int
    status: int
    fd: int
    madv: int | None = None
    fdflags: int | None = None
    rest: bytes = b""


@dataclass(frozen=True)
class Memory:
    """A process's address space; ``rest`` is the message without its mappings."""

    vmas: tuple[Vma, ...]
    exe_file_id: int
    rest: bytes = b""


@dataclass(frozen=True)
class PageRun:
    """Pages that follow each other from ``vaddr`` on; older CRIUs count in ``compat_nr_pages``."""

    vaddr: int
    compat_nr_pages: int = 0
    in_parent: bool | None = None
    flags: int | None = None
    nr_pages: int | None = None
    rest: bytes = b""

    @property
    def count(self) -> int:
        """How many pages these are."""
        return self.nr_pages if self.nr_pages is not None else self.compat_nr_pages

    @property
    def present(self) -> bool:
        """Whether the pages stand in the pages file."""
        return not self.in_parent if self.flags is None else bool(self.flags & RUN_PRESENT)


@dataclass(frozen=True)
class Pagemap:
    """Which pages stand in ``pages-<pages_id>.img``, in that file's order."""

    pages_id: int
    runs: tuple[PageRun, ...]


def read_version(path: Path) -> int:
    """The version of the format, from ``inventory.img``.

    Raises:
        UserError: The image is not one, or of a version that we do not know.
    """
    version: int = _first(path, _read(path, INVENTORY), "Inventory").img_version
    if version not in VERSIONS:
        raise UserError(
            f"{path} is of version {version} of CRIU's images, and bentofn knows "
            f"{' and '.join(map(str, VERSIONS))}; use the CRIU that `bentofn snapshot setup` gives."
        )
    return version


def read_processes(path: Path) -> tuple[int, ...]:
    """The pids of the processes in ``pstree.img``, parents first."""
    return tuple(_parse(path, "Process", entry).pid for entry in _read(path, PROCESSES))


def read_memory(path: Path) -> Memory:
    """Read ``mm-<pid>.img``."""
    message = _first(path, _read(path, MEMORY), "Memory")
    vmas = tuple(_decode(Vma, _parse(path, "Vma", vma)) for vma in message.vmas)
    message.ClearField("vmas")
    return Memory(vmas, message.exe_file_id, message.SerializeToString())


def encode_memory(memory: Memory) -> bytes:
    """The bytes of ``mm-<pid>.img``."""
    message = message_class("Memory").FromString(memory.rest)
    message.exe_file_id = memory.exe_file_id
    message.vmas.extend(_encode("Vma", vma) for vma in memory.vmas)
    return _write(MEMORY, [message.SerializeToString()])


def read_pagemap(path: Path) -> Pagemap:
    """Read ``pagemap-<pid>.img``."""
    entries = _read(path, PAGEMAP)
    head = _first(path, entries, "PagemapHead")
    runs = tuple(_decode(PageRun, _parse(path, "PageRun", entry)) for entry in entries[1:])
    return Pagemap(head.pages_id, runs)


def encode_pagemap(pagemap: Pagemap) -> bytes:
    """The bytes of ``pagemap-<pid>.img``."""
    head = message_class("PagemapHead")(pages_id=pagemap.pages_id).SerializeToString()
    return _write(PAGEMAP, [head, *(_encode("PageRun", run) for run in pagemap.runs)])


def read_files(path: Path) -> tuple[FileEntry, ...]:
    """Read ``files.img``."""
    return tuple(_file(path, entry) for entry in _read(path, FILES))


def encode_files(entries: Sequence[FileEntry]) -> bytes:
    """The bytes of ``files.img``."""
    return _write(FILES, [_encode_file(entry) for entry in entries])


def _file(path: Path, data: bytes) -> FileEntry:
    message = _parse(path, "FileEntry", data)
    regular = None
    if message.HasField("reg"):
        regular = _decode(RegularFile, _parse(path, "RegularFile", message.reg))
    return FileEntry(message.type, message.id, regular, _rest(message))


def _encode_file(entry: FileEntry) -> bytes:
    message = message_class("FileEntry")(type=entry.type, id=entry.id)
    if entry.reg is not None:
        message.reg = _encode("RegularFile", entry.reg)
    message.MergeFromString(entry.rest)
    return bytes(message.SerializeToString())


def _decode(kind: type[_Message], message: Any) -> _Message:
    values: dict[str, Any] = {
        field.name: None
        if field.default is None and not message.HasField(field.name)
        else getattr(message, field.name)
        for field in fields(kind)
        if field.name not in ("rest", "build_id")
    }
    if kind is RegularFile:
        values["build_id"] = tuple(message.build_id)
    return kind(**values, rest=_rest(message))


def _encode(name: str, value: RegularFile | Vma | PageRun) -> bytes:
    given = {
        field.name: content
        for field in fields(value)
        if field.name != "rest" and (content := getattr(value, field.name)) is not None
    }
    message = message_class(name)(**given)
    message.MergeFromString(value.rest)
    return bytes(message.SerializeToString())


def _rest(message: Any) -> bytes:
    unknown = type(message)()
    unknown.CopyFrom(message)
    for descriptor, _ in message.ListFields():
        unknown.ClearField(descriptor.name)
    return bytes(unknown.SerializeToString())


def _read(path: Path, magic: int) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; take the snapshot again.") from error
    header = struct.pack("<I", magic) if magic == INVENTORY else struct.pack("<II", COMMON, magic)
    if not data.startswith(header):
        raise UserError(
            f"{path} does not begin as CRIU's images of its name do; it was damaged, or written by "
            "a CRIU that bentofn does not know. Take the snapshot again."
        )
    return list(_entries(path, data, len(header)))


def _entries(path: Path, data: bytes, position: int) -> Iterator[bytes]:
    while position < len(data):
        end = position + 4
        length = int.from_bytes(data[position:end], "little")
        if end > len(data) or end + length > len(data):
            raise UserError(f"{path} ends in the middle of an entry; take the snapshot again.")
        yield data[end : end + length]
        position = end + length


def _write(magic: int, entries: Sequence[bytes]) -> bytes:
    parts = [struct.pack("<II", COMMON, magic)]
    for entry in entries:
        parts += [struct.pack("<I", len(entry)), entry]
    return b"".join(parts)


def _first(path: Path, entries: Sequence[bytes], name: str) -> Any:
    if not entries:
        raise UserError(f"{path} is empty; take the snapshot again.")
    return _parse(path, name, entries[0])


def _parse(path: Path, name: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return message_class(name).FromString(data)
    except DecodeError as error:
        raise UserError(
            f"{path} holds an entry that cannot be read; take the snapshot again."
        ) from error
