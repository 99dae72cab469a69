"""Why CRIU could not dump a process: its log and the process's descriptors, as one sentence.

The process looks through itself before (``bentofn.runtime.obstacles``); this is for what it did not
see, in the same words. A dump that fails leaves the process as it was, so what a line of the log
means by a number can still be looked up.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bentofn.runtime.obstacles.descriptors import DELETED_ADVICE, IO_URING, IO_URING_ADVICE
from bentofn.runtime.obstacles.devices import GPU, is_gpu
from bentofn.runtime.obstacles.found import Obstacle, sentence

_NOISE = re.compile(
    r"rlimit: Can't setup RLIMIT_NOFILE|(Dumping|Restoring) FAILED|Dump files \(pid: \d+\) failed"
)
"""Errors that say nothing: the first is survived, the others follow from what was said before."""

_ERROR = re.compile(r"^.*?\bError \([^)]*\): +(.+)$", re.MULTILINE)
_FILE_TYPE = re.compile(r"Can't dump file (\d+) of that type \[\d+\] \((.+?)\)$", re.MULTILINE)
_GHOST = re.compile(r"Can't dump ghost file (.+) of (\d+) size")
_SOCKET = re.compile(r"Searching for socket (0x[0-9a-f]+) family")
_TCP_STATE = re.compile(r"inet: In-flight connection|inet: Connected TCP socket")
_RUNAWAY = re.compile(r"unix: \tRunaway socket: .* name (.*)$", re.MULTILINE)
_FAMILY = re.compile(r"Unknown socket collected \(family (\d+)\)")
_INTERRUPT = re.compile(r"Unable to interrupt task: \d+ \((.+?)\)")

_PLAIN = {
    "with SysVIPC shmem map": Obstacle("holds System V shared memory", verb="create"),
    "tty: Found slave peer": Obstacle("has a terminal open that another process made"),
    "inet: Unsupported proto": Obstacle("holds a socket of an unusual protocol"),
    "/secretmem (deleted)": Obstacle("holds secret memory (memfd_secret)", verb="create"),
}
"""Words of the log that say all there is to say."""

_TCP_ESTABLISHED = {"01", "02", "03", "04", "05", "08", "09", "0B"}
"""States of a connection that is not only closed or listening (include/net/tcp_states.h)."""


@dataclass(frozen=True)
class Holdings:
    """What a process holds that a dump may stumble over.

    Args:
        descriptors: What each file descriptor is, as ``/proc/<pid>/fd`` says it.
        locked: Descriptors through which it holds file locks.
        connections: Inode of each TCP socket to the other end, ``host:port``.
        tracer: Name of the process that traces it, or None.
    """

    descriptors: Mapping[int, str] = field(default_factory=dict)
    locked: tuple[int, ...] = ()
    connections: Mapping[int, str] = field(default_factory=dict)
    tracer: str | None = None


@dataclass(frozen=True)
class Cause:
    """Why a dump failed.

    Args:
        sentence: It, without its full stop.
        of_the_service: Whether the service would fail the same way again.
    """

    sentence: str
    of_the_service: bool


def cause_of(log: str, holdings: Holdings) -> Cause:
    """Why a dump failed; CRIU's own words where none of ours fits.

    Args:
        log: What CRIU wrote, at its verbosity 4.
        holdings: What the process held when it failed.
    """
    trouble = _trouble(log, holdings)
    if trouble is not None:
        return Cause(trouble, False)
    for rule in _RULES:
        obstacle = rule(log, holdings)
        if obstacle is not None:
            return Cause(sentence([obstacle]), True)
    error = first_error(log)
    if error is not None:
        return Cause(f"CRIU could not dump the service: {error}", False)
    return Cause("CRIU could not dump the service and did not say why", False)


def first_error(log: str) -> str | None:
    """The first error of a log that says something: those after it follow from it."""
    errors = (error for error in _ERROR.findall(log) if not _NOISE.search(error))
    first = next(errors, None)
    return first.strip().rstrip(".") if first is not None else None


def holdings_of(pid: int) -> Holdings:
    """What a process holds; of one that has ended, nothing."""
    process = Path(f"/proc/{pid}")
    try:
        descriptors, locked = _descriptors(process)
        tables = [path.read_text() for path in sorted((process / "net").glob("tcp*"))]
        tracer = _tracer(process)
    except OSError:
        return Holdings()
    connections = {inode: peer for table in tables for inode, peer in parse_tcp(table).items()}
    return Holdings(descriptors, locked, connections, tracer)


def parse_tcp(table: str) -> dict[int, str]:
    """The other ends of connections, by their socket's inode.

    Args:
        table: ``/proc/<pid>/net/tcp`` or ``tcp6`` (proc_pid_net(5)).
    """
    found: dict[int, str] = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] in _TCP_ESTABLISHED:
            found[int(fields[9])] = parse_address(fields[2])
    return found


def parse_address(text: str) -> str:
    """An address of the kernel's table, words in the machine's byte order, as ``host:port``."""
    host, port = text.split(":")
    count = len(host) // 8
    words = [int(host[8 * index : 8 * index + 8], 16) for index in range(count)]
    packed = struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{count}I", *words)
    if count == 1:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"


def _descriptors(process: Path) -> tuple[dict[int, str], tuple[int, ...]]:
    """What each descriptor is, and those that hold locks."""
    descriptors: dict[int, str] = {}
    locked: list[int] = []
    for path in (process / "fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            descriptors[int(path.name)] = str(path.readlink())
            if "\nlock:" in (process / "fdinfo" / path.name).read_text():
                locked.append(int(path.name))
    return descriptors, tuple(locked)


def _tracer(process: Path) -> str | None:
    status = (process / "status").read_text()
    found = re.search(r"^TracerPid:\s*(\d+)$", status, re.MULTILINE)
    if found is None or found[1] == "0":
        return None
    name = (process.parent / found[1] / "comm").read_text().strip()
    return f"process {found[1]} ({name})"


def _trouble(log: str, holdings: Holdings) -> str | None:
    """What the service has no part in."""
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return "the disk that the snapshot is written to is full; free some space there"
    found = _INTERRUPT.search(log)
    if found is None:
        return None
    if found[1] == "No such process":
        return "the service ended before it could be dumped"
    if holdings.tracer is not None:
        return f"the service is traced by {holdings.tracer}, a debugger perhaps; end that"
    return (
        f"the kernel does not let CRIU trace the service ({found[1]}); look at "
        "kernel.yama.ptrace_scope and at the rights of this container"
    )


def _io_uring(log: str, holdings: Holdings) -> Obstacle | None:
    ring = any("io_uring" in each for each in holdings.descriptors.values())
    if ring and ("send_fds failed" in log or "io_uring" in log):
        return Obstacle(IO_URING, advice=IO_URING_ADVICE)
    return None


def _tcp(log: str, holdings: Holdings) -> Obstacle | None:
    if not _TCP_STATE.search(log):
        return None
    inodes = _SOCKET.findall(log)
    peer = holdings.connections.get(int(inodes[-1], 16)) if inodes else None
    return Obstacle(f"holds a connection to {peer}" if peer else "holds a network connection")


def _unix(log: str, holdings: Holdings) -> Obstacle | None:
    if "unix: External socket is used" not in log:
        return None
    names = [name for name in _RUNAWAY.findall(log) if name.startswith(("/", "@"))]
    return Obstacle(f"holds a connection to the local socket {(names or ['of its parent'])[-1]}")


def _socket_family(log: str, holdings: Holdings) -> Obstacle | None:
    found = _FAMILY.search(log)
    if found is None:
        return None
    try:
        name = socket.AddressFamily(int(found[1])).name
    except ValueError:
        name = f"family {found[1]}"
    return Obstacle(f"holds a socket of the kind {name}")


def _file_type(log: str, holdings: Holdings) -> Obstacle | None:
    found = _FILE_TYPE.search(log)
    if found is None:
        return None
    what = holdings.descriptors.get(int(found[1]), found[2]).removeprefix("anon ")
    if is_gpu(what):
        return GPU
    if found[2].startswith(("chr", "blk")):
        return Obstacle(f"has the device {what} open")
    return Obstacle(
        f"holds a descriptor of the kind {what.removeprefix('anon_inode:').strip('[]')}"
    )


def _ghost(log: str, holdings: Holdings) -> Obstacle | None:
    found = _GHOST.search(log)
    if found is None:
        return None
    size = f"{int(found[2]) / 1e6:.0f} MB"
    return Obstacle(f"holds the deleted file {found[1]} ({size})", advice=DELETED_ADVICE)


def _lock(log: str, holdings: Holdings) -> Obstacle | None:
    if "Some file locks are hold" not in log:
        return None
    files = [holdings.descriptors[each] for each in holdings.locked]
    return Obstacle(f"holds a lock on {files[0] if files else 'a file'}", verb="take")


def _plain(log: str, holdings: Holdings) -> Obstacle | None:
    return next((obstacle for words, obstacle in _PLAIN.items() if words in log), None)


def _seccomp(log: str, holdings: Holdings) -> Obstacle | None:
    error = first_error(log)
    if error is None or "seccomp" not in error.lower():
        return None
    advice = "start the platform outside the sandbox"
    return Obstacle(f"runs under a seccomp filter ({error})", advice=advice)


_RULES: tuple[Callable[[str, Holdings], Obstacle | None], ...] = (
    _io_uring,
    _tcp,
    _unix,
    _socket_family,
    _file_type,
    _ghost,
    _lock,
    _plain,
    _seccomp,
)
