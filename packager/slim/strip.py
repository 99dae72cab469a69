"""Strips debug symbols off shared objects, where the result still loads."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import TEMPORARY_PREFIX
from bentofn.packager.slim.elf import SHARED_OBJECT, Elf, ElfError, read_elf

MOST_WORKERS = 4

STRIP_LIMIT = 300
"""Seconds for one file; the largest libraries take a few."""

_TRIPLES = {"linux/amd64": "x86_64-linux-gnu", "linux/arm64": "aarch64-linux-gnu"}

_DIGIT = re.compile(r"\d")
_NAME = re.compile(r".+\.so(\.\d+)*")


@dataclass(frozen=True)
class Strip:
    """The binutils of this machine.

    Args:
        program: The file.
        version: What it says of itself; another version may give other bytes.
    """

    program: str
    version: str


def find_strip() -> Strip | None:
    """The ``strip`` of this machine, if it has one that says its version."""
    return _strip("strip")


def find_strip_for(platform: str) -> Strip | None:
    """A program of this machine that strips shared objects of another platform.

    Binutils are built for one machine and named after it; LLVM's know all of them.

    Args:
        platform: OCI platform, such as ``linux/arm64``.
    """
    triple = _TRIPLES.get(platform)
    return (_strip(f"{triple}-strip") if triple else None) or _strip("llvm-strip")


def _strip(name: str) -> Strip | None:
    program = shutil.which(name)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    # LLVM's says what it is in the first line, and its version in the second.
    numbered = [line.strip() for line in done.stdout.splitlines() if _DIGIT.search(line)]
    return Strip(program, numbered[0]) if numbered else None


def strip_files(strip: Strip, tree: Path, files: Sequence[str]) -> dict[str, int]:
    """Strip the shared objects among files.

    Args:
        strip: From :func:`find_strip`.
        tree: The environment.
        files: Relative to it.

    Returns:
        File to bytes saved, of those that changed.
    """
    names = [file for file in files if _NAME.fullmatch(file)]
    with ThreadPoolExecutor(min(MOST_WORKERS, os.cpu_count() or 1)) as pool:
        saved = pool.map(lambda file: strip_file(strip, tree / file), names)
        return {file: count for file, count in zip(names, saved, strict=True) if count}


def strip_file(strip: Strip, path: Path) -> int:
    """Replace a shared object by its stripped self; its other names keep the original.

    It stays as it is where it is no shared object, where strip fails, or where the result is not
    smaller or cannot be mapped: strip moves the segments of files that auditwheel has patched, as
    in numpy's and scipy's OpenBLAS, and the dynamic loader refuses what is not aligned.

    Returns:
        Bytes saved.

    Raises:
        OSError: The disk is full.
    """
    before = path.stat()
    elf = _read(path)
    if elf is None or elf.kind != SHARED_OBJECT or path.is_symlink():
        return 0
    partial = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        command = [strip.program, "--strip-unneeded", "-o", str(partial), str(path)]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            subprocess.run(
                command, env=environment, capture_output=True, timeout=STRIP_LIMIT, check=True
            )
            size = partial.stat().st_size
        except subprocess.CalledProcessError as error:
            _refuse_full_disk(error.stderr)
            return 0
        except (subprocess.SubprocessError, FileNotFoundError):
            return 0
        result = _read(partial)
        if result is None or not result.is_aligned or size >= before.st_size:
            return 0
        if len(result.segments) != len(elf.segments):
            return 0
        partial.chmod(before.st_mode & 0o7777)
        partial.replace(path)
        return before.st_size - size
    finally:
        partial.unlink(missing_ok=True)


def _refuse_full_disk(stderr: bytes) -> None:
    # A file that stays as it is for want of space would make another bento.
    text = os.strerror(errno.ENOSPC)
    if text.encode() in stderr:
        raise OSError(errno.ENOSPC, text)


def _read(path: Path) -> Elf | None:
    with path.open("rb") as file:
        head = file.read(1 << 16)
        try:
            return read_elf(head)
        except ElfError:
            if head[:4] != b"\x7fELF":
                return None
        # patchelf moves the program headers to the file's end.
        try:
            return read_elf(head + file.read())
        except ElfError:
            return None
