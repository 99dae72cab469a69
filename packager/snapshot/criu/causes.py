"""Why CRIU could not dump a process: its log and the process's descriptors, as one sentence.

A dump that fails leaves the process as it was, so what a line of the log means by a number can
still be looked up.
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

AFTER_RESTORE = "open it in a method marked @bentofn.after_restore"
"""What a service does with what cannot be snapshotted."""

_NOISE = re.compile(
    r"rlimit: Can't setup RLIMIT_NOFILE|Dumping FAILED|Dump files \(pid: \d+\) failed"
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


def cause_of(log: str, holdings: Holdings) -> str:
    """Why a dump failed.

    Args:
        log: What CRIU wrote, at its verbosity 4.
        holdings: What the process held when it failed.

    Returns:
        One sentence; CRIU's own words where none of ours fits.
    """
    for rule in _RULES:
        sentence = rule(log, holdings)
        if sentence is not None:
            return sentence
    errors = [error for error in _ERROR.findall(log) if not _NOISE.search(error)]
    if errors:
        return f"CRIU could not dump the service: {errors[0].strip().rstrip('.')}."
    return "CRIU could not dump the service and did not say why."


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
    return f"{name}, process {found[1]}"


def _full_disk(log: str, holdings: Holdings) -> str | None:
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return "The disk that the snapshot is written to is full; free some space there."
    return None


def _io_uring(log: str, holdings: Holdings) -> str | None:
    ring = any("io_uring" in each for each in holdings.descriptors.values())
    if not ring or ("send_fds failed" not in log and "io_uring" not in log):
        return None
    return (
        "The service uses io_uring, which cannot be snapshotted; start it in a method marked "
        "@bentofn.after_restore, or turn it off (for libuv: UV_USE_IO_URING=0)."
    )


def _tcp(log: str, holdings: Holdings) -> str | None:
    if not _TCP_STATE.search(log):
        return None
    inodes = _SOCKET.findall(log)
    peer = holdings.connections.get(int(inodes[-1], 16)) if inodes else None
    to = f" to {peer}" if peer else ""
    return (
        f"The service holds a network connection{to}, which cannot be snapshotted; {AFTER_RESTORE}."
    )


def _unix(log: str, holdings: Holdings) -> str | None:
    if "unix: External socket is used" not in log and "unix: External stream" not in log:
        return None
    names = [name for name in _RUNAWAY.findall(log) if name not in ("", "--")]
    to = f" {names[-1]}" if names else ""
    return (
        f"The service holds a connection to the unix socket{to} of another process, which cannot "
        f"be snapshotted; {AFTER_RESTORE}."
    )


def _socket_family(log: str, holdings: Holdings) -> str | None:
    found = _FAMILY.search(log)
    if found is None:
        return None
    try:
        name = socket.AddressFamily(int(found[1])).name
    except ValueError:
        name = f"family {found[1]}"
    return f"The service holds a socket ({name}), which cannot be snapshotted; {AFTER_RESTORE}."


def _file_type(log: str, holdings: Holdings) -> str | None:
    found = _FILE_TYPE.search(log)
    if found is None:
        return None
    what = holdings.descriptors.get(int(found[1]), found[2]).removeprefix("anon ")
    if what.startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri")):
        return (
            f"The service holds GPU memory ({what}), which this snapshot cannot carry; move the "
            "model to the GPU in a method marked @bentofn.after_restore."
        )
    kind = "the device" if what.startswith("/dev/") or found[2].startswith(("chr", "blk")) else ""
    named = re.sub(r"^anon_inode:\[?([^\]]*)\]?$", r"\1", what)
    holds = f"{kind} {named}" if kind else f"an open {named}"
    return f"The service holds {holds}, which cannot be snapshotted; {AFTER_RESTORE}."


def _ghost(log: str, holdings: Holdings) -> str | None:
    found = _GHOST.search(log)
    if found is None:
        return None
    return (
        f"The service keeps the deleted file {found[1]} ({int(found[2]) // 10**6} MB) open, which "
        "cannot be snapshotted; close it, or do not delete it, before the snapshot."
    )


def _lock(log: str, holdings: Holdings) -> str | None:
    if "Some file locks are hold" not in log:
        return None
    files = [holdings.descriptors[each] for each in holdings.locked]
    on = f" on {files[0]}" if files else ""
    return (
        f"The service holds a file lock{on}, which cannot be snapshotted; take it in a method "
        "marked @bentofn.after_restore."
    )


def _ptrace(log: str, holdings: Holdings) -> str | None:
    found = _INTERRUPT.search(log)
    if found is None:
        return None
    if found[1] == "No such process":
        return "The service ended before it could be dumped; its log says why."
    if holdings.tracer is not None:
        return f"Another process traces the service ({holdings.tracer}); end it and try again."
    return (
        "The kernel does not let CRIU trace the service (ptrace: Operation not permitted); look at "
        "kernel.yama.ptrace_scope and at the rights of this container."
    )


def _seccomp(log: str, holdings: Holdings) -> str | None:
    for error in _ERROR.findall(log):
        if "seccomp" in error.lower():
            return (
                "The service runs under a seccomp filter that cannot be snapshotted "
                f"({error.strip().rstrip('.')}); start the platform outside the sandbox."
            )
    return None


_RULES: tuple[Callable[[str, Holdings], str | None], ...] = (
    _full_disk,
    _ptrace,
    _io_uring,
    _tcp,
    _unix,
    _socket_family,
    _file_type,
    _ghost,
    _lock,
    _seccomp,
)
