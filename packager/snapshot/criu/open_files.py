"""What a restore is told of a process's open files: entries of ``files.img``, made to fit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bentofn.packager.snapshot.criu.images import REGULAR_FILE, FileEntry, RegularFile
from bentofn.runtime.errors import UserError

WIRE = "bentofn/wire"
"""The name under which the images know the placeholder that a socket takes the place of at a
restore: the key of CRIU's inherit-fd."""


def renamed(entries: tuple[FileEntry, ...], wire: Path) -> list[FileEntry]:
    """The entries with the placeholder named WIRE, and no digests that a restore would check.

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
        entry if entry.reg is None else replace(entry, reg=_named(entry.reg, wire))
        for entry in entries
    ]


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
