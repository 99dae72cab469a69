"""What changed in a root, as a layer: the same changes give the same bytes."""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.containerize.rootfs import KEPT_XATTRS, XATTR
from bentofn.packager.containerize.tarball import END, above, folder, header, padding
from bentofn.packager.containerize.tree import WHITEOUT
from bentofn.packager.files import CHUNK

_LEFT_OUT = re.compile(
    # What a container runtime puts there, or what only lasts while the root runs.
    r"(proc|sys|dev|run|tmp|var/tmp|var/run)(/.*)?"
    r"|etc/(resolv\.conf|hosts|hostname|mtab|\.pwd\.lock)"
    r"|usr/sbin/policy-rc\.d"
    # Caches, logs and lists, which hold times.
    r"|var/(log|cache/(apt|debconf|ldconfig|dnf|yum|apk|man))/.*"
    r"|var/lib/(apt/lists|apt/periodic|dnf|yum/history|rpm/__db[^/]*)/.*"
    r"|var/lib/dpkg/([^/]*-old|lock[^/]*|triggers/Lock)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-"
    r"|root/\.(cache|bash_history)(/.*)?|(.*/)?__pycache__(/.*)?"
    r"|opt/bento/(bento\.json|(env|models|runtime)(/.*)?)"
)


@dataclass(frozen=True)
class Stamp:
    """What is looked at of a file to see whether it changed.

    Args:
        mode: With its type.
        owner: User and group.
        size: Bytes.
        times: Of its content and of itself, in nanoseconds; for a folder none.
        inode: Its number.
        target: Where a link points.
    """

    mode: int
    owner: tuple[int, int]
    size: int
    times: tuple[int, ...]
    inode: int
    target: str


def snapshot(root: Path) -> dict[str, Stamp]:
    """What is in a root, by path; what never goes into a layer is left out."""
    found: dict[str, Stamp] = {}
    for here, folders, files in os.walk(root):
        inside = os.path.relpath(here, root)
        prefix = "" if inside == "." else f"{inside}/"
        folders[:] = [name for name in folders if not _LEFT_OUT.fullmatch(prefix + name)]
        for name in (*folders, *files):
            path = prefix + name
            if not _LEFT_OUT.fullmatch(path):
                found[path] = _stamp(root / path)
    return found


def changes(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> tuple[list[str], list[str]]:
    """The paths that are new or changed, and those that are gone, the topmost only; both sorted."""
    changed = sorted(path for path, stamp in after.items() if before.get(path) != stamp)
    gone = sorted(path for path in before.keys() - after.keys())
    topmost = [path for path in gone if path.rpartition("/")[0] not in before.keys() - after.keys()]
    # Below something that was a folder and is none any more, nothing has to be removed.
    kept = [path for path in topmost if _is_folder(after, path.rpartition("/")[0])]
    return changed, kept


def write_changes(
    root: Path, after: Mapping[str, Stamp], changed: list[str], gone: list[str], out: BinaryIO
) -> None:
    """Write changes as a layer: sorted, parents first, times zero, owners and modes as they are.

    Args:
        root: The root.
        after: What is in it.
        changed: Paths that are new or changed.
        gone: Paths that are gone.
        out: Where to write the archive.
    """
    written: dict[str, None] = {}
    links: dict[int, str] = {}
    whiteouts = {_whiteout(path): path for path in gone}
    for path in sorted([*changed, *whiteouts]):
        for parent in above(path):
            if parent not in written:
                out.write(_folder(parent, after))
                written[parent] = None
        if path in whiteouts:
            out.write(header(tarfile.TarInfo(path)))
        elif path not in written:
            _write(root / path, path, after[path], links, out)
            written[path] = None
    out.write(END)


def _write(source: Path, path: str, stamp: Stamp, links: dict[int, str], out: BinaryIO) -> None:
    if stat.S_ISDIR(stamp.mode):
        out.write(_folder(path, {path: stamp}))
        return
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(stamp.mode)
    info.uid, info.gid = stamp.owner
    if stat.S_ISLNK(stamp.mode):
        info.type, info.linkname = tarfile.SYMTYPE, stamp.target
        out.write(header(info))
    elif stat.S_ISREG(stamp.mode) and stamp.inode in links:
        info.type, info.linkname = tarfile.LNKTYPE, links[stamp.inode]
        out.write(header(info))
    elif stat.S_ISREG(stamp.mode):
        links[stamp.inode] = path
        info.size = stamp.size
        info.pax_headers = _attributes(source)
        out.write(header(info))
        with source.open("rb") as file:
            while chunk := file.read(CHUNK):
                out.write(chunk)
        out.write(padding(stamp.size))


def _folder(path: str, after: Mapping[str, Stamp]) -> bytes:
    stamp = after.get(path)
    if stamp is None:
        return folder(path)
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, stat.S_IMODE(stamp.mode)
    info.uid, info.gid = stamp.owner
    return header(info)


def _stamp(path: Path) -> Stamp:
    found = path.lstat()
    # A folder changes whenever something in it does; only its mode and owner are its own.
    is_folder = stat.S_ISDIR(found.st_mode)
    return Stamp(
        mode=found.st_mode,
        owner=(found.st_uid, found.st_gid),
        size=0 if is_folder else found.st_size,
        times=() if is_folder else (found.st_mtime_ns, found.st_ctime_ns),
        inode=found.st_ino,
        target=str(path.readlink()) if stat.S_ISLNK(found.st_mode) else "",
    )


def _attributes(path: Path) -> dict[str, str]:
    found = {}
    for name in KEPT_XATTRS:
        with suppress(OSError):
            value = os.getxattr(path, name, follow_symlinks=False)
            found[XATTR + name] = value.decode("utf-8", "surrogateescape")
    return found


def _is_folder(after: Mapping[str, Stamp], path: str) -> bool:
    return not path or (path in after and stat.S_ISDIR(after[path].mode))


def _whiteout(path: str) -> str:
    parent, slash, name = path.rpartition("/")
    return f"{parent}{slash}{WHITEOUT}{name}"
