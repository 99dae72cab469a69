"""What a restore is told of a process's open files: entries of ``files.img``, made to fit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bentofn.packager.snapshot.criu.images import REGULAR_FILE, FileEntry, RegularFile
from bentofn.packager.snapshot.criu.schema import message_class
from bentofn.runtime.errors import UserError
from bentofn.runtime.obstacles.devices import CUDA_SOCKET

WIRE = "bentofn/wire"
"""The name under which the images know the placeholder that a socket takes the place of at a
restore: the key of CRIU's inherit-fd."""

_INODE = (1 << 31) - 1
LISTENER = f"socket:[{_INODE}]"
"""The same of the socket at which NVIDIA's library listens: two processes cannot have one name, so
each restore is given another socket. By this number the images know it, which no other has."""


def renamed(entries: tuple[FileEntry, ...], wire: Path) -> list[FileEntry]:
    """The entries with the placeholder named WIRE, the library's socket with the number of
    LISTENER, and no digests that a restore would check.

    The platform checks a snapshot's files once, when they arrive; a restore compares sizes.

    Args:
        entries: Those of a dump.
        wire: The placeholder's path at the dump.

    Raises:
        UserError: The placeholder is not among them.
    """
    if not any(entry.reg is not None and entry.reg.name == str(wire) for entry in entries):
        raise UserError(
            f"The dumped process does not hold {wire} open, through which an instance is reached; "
            "take the snapshot again."
        )
    return [
        _with_listener(entry) if entry.reg is None else replace(entry, reg=_named(entry.reg, wire))
        for entry in entries
    ]


def _with_listener(entry: FileEntry) -> FileEntry:
    """The entry with the number of LISTENER if it is that."""
    file = message_class("SocketFile").FromString(entry.rest)
    found = message_class("UnixSocket").FromString(file.usk)
    if not found.name.startswith(CUDA_SOCKET):
        return entry
    found.ino = _INODE
    file.usk = found.SerializeToString()
    return replace(entry, rest=file.SerializeToString())


def _named(file: RegularFile, wire: Path) -> RegularFile:
    name = f"/{WIRE}" if file.name == str(wire) else file.name
    return replace(
        file,
        name=name,
        build_id=(),
        checksum=None,
        checksum_config=None,
        checksum_parameter=None,
    )


def raw_file(program: RegularFile | None, raw_id: int, name: str, size: int) -> FileEntry:
    """The entry of ``mem.raw``, made after that of the process's program.

    Args:
        program: The program's.
        raw_id: The number of the entry.
        name: Path of ``mem.raw`` at a restore.
        size: Its bytes.

    Raises:
        UserError: There is no program.
    """
    if program is None:
        raise UserError("The dumped process's program is not a file; take the snapshot again.")
    file = replace(
        program, id=raw_id, name=name, size=size, mode=0o100600, flags=os.O_RDONLY, pos=0
    )
    return FileEntry(REGULAR_FILE, raw_id, file)
