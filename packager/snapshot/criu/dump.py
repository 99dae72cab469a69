"""Write a process's memory and state to disk with ``criu dump``."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.files import make_directory, remove_tree
from bentofn.packager.locks import locked
from bentofn.packager.snapshot.criu.causes import cause_of, holdings_of
from bentofn.packager.snapshot.criu.installed import NO_PLUGINS, Criu
from bentofn.runtime.errors import UserError

_MOUNT_POINT = "proc.crtools"
"""A directory that CRIU makes in a process's own. Source: get_proc_fd of criu/pie/parasite.c."""

_MNT_DETACH = 2  # sys/mount.h

_LOOK = 0.1
"""Seconds between two looks whether a dump is still wanted."""

_DEATH_SECONDS = 10.0
"""How long a killed process may take to give its memory back."""


class DumpFailed(UserError):  # noqa: N818 - what happened, as a sentence
    """CRIU could not dump a process.

    Args:
        sentence: Why, and what to do, without its full stop.
        of_the_service: Whether the service would fail the same way again.
    """

    def __init__(self, sentence: str, *, of_the_service: bool = False) -> None:
        super().__init__(sentence)
        self.of_the_service = of_the_service


def dump(
    criu: Criu,
    pid: int,
    directory: Path,
    timeout: float,
    called_off: threading.Event | None = None,
) -> None:
    """Dump a process tree and end it.

    The process is the first of a pid namespace of its own and holds nothing that leads outside. It
    is ended in every case, with all that runs in its namespace.

    Args:
        criu: The CRIU.
        pid: The process, as this process's namespace numbers it.
        directory: Where the images are written, for this user only; made if absent, removed if the
            dump fails.
        timeout: Seconds after which the dump is given up.
        called_off: Set from another thread when nobody wants it any more.

    Raises:
        DumpFailed: It did not succeed; the message names the cause.
        UserError: The directory cannot be made.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        raise DumpFailed("the service ended before it could be dumped") from None
    called_off = called_off or threading.Event()
    try:
        make_directory(directory, mode=0o700)
        with _directory_to_itself(pid, timeout, called_off):
            _run(criu, pid, directory, timeout, called_off)
    except BaseException:
        remove_tree(directory)
        raise
    finally:
        _end(process)
        os.close(process)


@contextmanager
def _directory_to_itself(pid: int, timeout: float, called_off: threading.Event) -> Iterator[None]:
    """Keep other dumps out of a process's working directory; what CRIU mounts there goes.

    Its code in the process makes a directory there for a moment, always of the same name, and
    mounts a ``/proc`` of the namespace on it: of two dumps in one directory, as of two functions of
    one bento, one would fail. If it is killed in that moment, the mount stays, and no later dump
    could make it.
    """
    try:
        place = Path(f"/proc/{pid}/cwd").readlink() / _MOUNT_POINT
        directory = os.open(f"/proc/{pid}/cwd", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise DumpFailed("the service ended before it could be dumped") from None
    try:
        if not locked(directory, fcntl.LOCK_EX, called_off, timeout):
            raise DumpFailed(
                "it was called off"
                if called_off.is_set()
                else f"CRIU did not begin within {timeout:g} s, because somebody else keeps the "
                "service's working directory locked; have it let go"
            )
        _remove_mount(place)
        try:
            yield
        finally:
            _remove_mount(place)
    finally:
        os.close(directory)


def _remove_mount(place: Path) -> None:
    with suppress(OSError):
        if place.is_dir():
            ctypes.CDLL(None).umount2(os.fsencode(place), _MNT_DETACH)
            place.rmdir()


def _run(
    criu: Criu, pid: int, directory: Path, timeout: float, called_off: threading.Event
) -> None:
    options = ["--manage-cgroups=ignore", "--file-validation", "filesize", "-v4"]
    command = [*criu.command, "dump", "--tree", str(pid), "--images-dir", str(directory), *options]
    # The log is kept in memory: a file on a full disk would not hold the line that says so, and a
    # pipe would stay open in the process, which CRIU hands its log to, if CRIU were killed.
    with os.fdopen(os.memfd_create("log"), "w+b") as log:
        status = _wait(command, log, timeout, called_off)
        log.seek(0)
        written = log.read().decode(errors="replace")
    if status < 0:
        name = signal.Signals(-status).name
        raise DumpFailed(f"CRIU was ended by {name} before the dump was done; try again")
    if status > 0:
        cause = cause_of(written, holdings_of(pid))
        raise DumpFailed(cause.sentence, of_the_service=cause.of_the_service)


def _wait(command: list[str], log: BinaryIO, timeout: float, called_off: threading.Event) -> int:
    """Run a command to its end; gives its status."""
    running = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        env={**os.environ, **NO_PLUGINS},
        start_new_session=True,
        umask=0o077,
    )
    deadline = time.monotonic() + timeout
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return running.wait(min(_LOOK, timeout))
            if called_off.is_set():
                raise DumpFailed("it was called off")
            if time.monotonic() > deadline:
                raise DumpFailed(
                    f"CRIU did not finish the dump within {timeout:g} s; a service with much "
                    "memory needs a faster disk or more time"
                )
    except BaseException:
        os.killpg(running.pid, signal.SIGKILL)  # also what it may have started itself
        running.wait()
        raise


def _end(process: int) -> None:
    """Kill a process and wait until it is gone, so that what it held is free again."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll(_DEATH_SECONDS * 1000)
