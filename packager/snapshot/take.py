"""Take a snapshot: start the service, dump it at its snapshot point, rewrite the images."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.files import remove_tree
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.dump import DumpFailed, dump
from bentofn.packager.snapshot.criu.hot import hot_set, moved, save_hot_set
from bentofn.packager.snapshot.criu.layout import Span
from bentofn.packager.snapshot.criu.rewrite import Rewritten, rewrite
from bentofn.packager.snapshot.criu.selection import RAW
from bentofn.packager.snapshot.page_cache import REMOTE, devices_of, regroup
from bentofn.packager.snapshot.parked import Log, SnapshotRefused, TakeFailed, parked
from bentofn.packager.snapshot.rehearsal import Rehearsal, rehearse
from bentofn.packager.snapshot.snapshot import IMAGES
from bentofn.runtime.cuda.checkpoint import CannotCheckpoint
from bentofn.runtime.cuda.controller import Controller
from bentofn.runtime.errors import UserError

__all__ = ["SnapshotRefused", "TakeFailed", "Taken", "take"]


@dataclass(frozen=True)
class Taken:
    """A snapshot that was taken.

    Args:
        images: What became of the dump.
        mapped: The files of the machine that the process maps.
        note: Why it is not known what a start touches, else empty.
    """

    images: Rewritten
    mapped: tuple[Path, ...]
    note: str = ""


def take(
    bento_root: Path,
    python: Path,
    env: Mapping[str, str],
    criu: Criu,
    staging: Path,
    final: Path,
    timeout: float,
    log: Log,
    called_off: threading.Event | None = None,
    device: Controller | None = None,
) -> Taken:
    """Take a snapshot of a bento's service. Blocks; nothing that it started is left.

    Args:
        bento_root: The bento's root, where the snapshot will be restored too.
        python: The interpreter.
        env: The whole environment of the service.
        criu: What dumps it.
        staging: An empty directory; ``images`` in it is what was taken.
        final: The name that ``staging`` will have afterwards.
        timeout: Seconds in which the service must reach its snapshot point, and again to dump it.
        log: Told what the service writes: ``stdout`` or ``stderr``, and a line.
        called_off: Set from another thread when nobody wants it any more.
        device: Takes its memory off the GPU, and puts it back; None where it has none there.

    Raises:
        SnapshotRefused: The service cannot be kept as a snapshot.
        TakeFailed: It does not reach its snapshot point or cannot be dumped.
    """
    called_off = called_off or threading.Event()

    def park(wire: Path) -> AbstractContextManager[int]:
        return parked(bento_root, python, env, wire, timeout, log, called_off)

    def rehearsed(images: Path) -> Rehearsal:
        try:
            return rehearse(images, criu, final.parent, env, timeout, log, called_off, device)
        except (SnapshotRefused, TakeFailed) as error:
            if called_off.is_set():  # and so was ended
                raise TakeFailed("it was called off") from error
            raise

    return take_parked(park, criu, staging, final, timeout, rehearsed, called_off, device)


def take_parked(
    park: Callable[[Path], AbstractContextManager[int]],
    criu: Criu,
    staging: Path,
    final: Path,
    timeout: float,
    rehearsed: Callable[[Path], Rehearsal] | None = None,
    called_off: threading.Event | None = None,
    device: Controller | None = None,
) -> Taken:
    """Take a snapshot of a process that parks. Blocks; the process has ended afterwards.

    Args:
        park: Given an empty file that the process is to keep open, parks it and gives its id.
        criu: As for :func:`take`, with ``staging``, ``final`` and ``timeout``.
        rehearsed: Restores images once; with None what a start touches is learnt later.
        called_off: As for :func:`take`, with ``device``.

    Raises:
        SnapshotRefused: The process cannot be kept as a snapshot, or not restored from it.
        TakeFailed: It did not park or cannot be dumped.
    """
    staging = staging.resolve()  # as the kernel calls what is mapped
    wire, dumped = staging / "wire", staging / "dump"
    try:
        wire.touch(mode=0o600)
        dumped.mkdir(mode=0o700)
        with park(wire) as pid:
            if device is not None:
                _take_out(device, pid)
            _check_room(pid, staging, on_gpu=device is not None)
            mapped = mapped_files(pid)
            dump(_beside(criu, pid), pid, dumped, timeout, called_off)
        on_gpu = device is not None
        seen = _rehearse(rehearsed, dumped, staging / "rehearsal", wire, on_gpu=on_gpu)
        _regroup(mapped)
        raw = staging / "rehearsal" / RAW
        memory = [
            Span(each.address, each.address + each.length)
            for each in (seen.touched[-1] if seen.touched else ())
            if each.path == raw
        ]
        images = rewrite(dumped, staging / IMAGES, final / IMAGES, wire, memory, on_gpu=on_gpu)
        if seen.touched:
            target = staging / IMAGES / RAW
            stages = [moved(each, raw, images.placed, target) for each in seen.touched]
            save_hot_set(hot_set(stages, staging), staging)
    except DumpFailed as error:
        failure = SnapshotRefused if error.of_the_service else TakeFailed
        raise failure(str(error)) from error
    except OSError as error:
        raise TakeFailed(_why(error, staging)) from error
    except UserError as error:
        if isinstance(error, SnapshotRefused | TakeFailed):
            raise
        raise TakeFailed(str(error)) from error
    finally:
        remove_tree(dumped)
        wire.unlink(missing_ok=True)
    return Taken(images, mapped, seen.note)


def _take_out(device: Controller, pid: int) -> None:
    try:
        device.take_out(pid)
    except CannotCheckpoint as error:
        raise SnapshotRefused(str(error).rstrip(".")) from error


def _check_room(pid: int, staging: Path, *, on_gpu: bool) -> None:
    """Refuse to fill a disk that others need too."""
    status = Path(f"/proc/{pid}/status").read_text()
    held = sum(map(int, re.findall(r"^(?:RssAnon|VmSwap):\s+(\d+) kB", status, re.MULTILINE))) << 10
    # What was dumped is written once more, to be mapped; most of what was on a GPU is not.
    needed = held if on_gpu else 2 * held
    free = shutil.disk_usage(staging).free
    if free < needed:
        raise TakeFailed(
            f"the disk of {staging.parent} is too full: the snapshot needs {needed / 1e9:.1f} GB "
            f"there and {free / 1e9:.1f} GB are free; free some space"
        )


def _rehearse(
    rehearsed: Callable[[Path], Rehearsal] | None,
    dumped: Path,
    images: Path,
    wire: Path,
    *,
    on_gpu: bool,
) -> Rehearsal:
    if rehearsed is None:
        return Rehearsal(())
    rewrite(dumped, images, images, wire, observed=True, on_gpu=on_gpu)
    try:
        return rehearsed(images)
    finally:
        remove_tree(images)


def _regroup(mapped: Iterable[Path]) -> None:
    """Have starts find what they map in large pages; a help only."""
    remote = devices_of(REMOTE)
    for path in mapped:
        with contextlib.suppress(OSError, ValueError):
            status = path.stat()
            # Not a device, which an open may wait for.
            if stat.S_ISREG(status.st_mode) and status.st_dev not in remote:
                with path.open("rb") as file:
                    regroup(file.fileno())


def mapped_files(pid: int) -> tuple[Path, ...]:
    """The files that a process maps, sorted (``/proc/<pid>/maps`` of proc(5)).

    The memory of an earlier snapshot is not among them: :func:`rewrite` takes it over.
    """
    lines = os.fsdecode(Path(f"/proc/{pid}/maps").read_bytes()).split("\n")
    paths = {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6}
    return tuple(Path(path) for path in sorted(paths) if is_outside(path))


def is_outside(path: str) -> bool:
    """Whether what is mapped is a file that is no memory of a snapshot."""
    return path.startswith("/") and not path.endswith(f"/{RAW}")


def _beside(criu: Criu, pid: int) -> Criu:
    """CRIU in the mount namespace of a process, which it would otherwise dump as well."""
    if Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink():
        return criu
    return replace(criu, command=("nsenter", f"--mount=/proc/{pid}/ns/mnt", "--", *criu.command))


def _why(error: OSError, staging: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {staging.parent} is full; free some space"
    return f"{error.filename or staging}: {error.strerror}"
