"""The kernel's FUSE protocol: requests read and replies written, as bytes, without any I/O.

Source: include/uapi/linux/fuse.h, protocol 7.31 (Linux 5.4); newer kernels speak it too.
"""

from __future__ import annotations

import errno
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MAJOR, MINOR = 7, 31

ROOT = 1
"""The node of the root."""

MAX_WRITE = 4096
"""Bytes of a write; there are none, but the kernel insists on a number."""

BUFFER = 1 << 16
"""Bytes of the buffer that requests are read into, more than the largest that a reader gets."""

FOREVER = 1 << 30
"""Seconds for which what never changes may be cached."""

_HEADER = struct.Struct("<IIQQIIIHH")
_REPLY = struct.Struct("<IiQ")
_INIT_IN = struct.Struct("<IIII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHII24x")
_ATTRIBUTES = struct.Struct("<6Q10I")
_ENTRY = struct.Struct("<QQQQII")
_ATTRIBUTES_OUT = struct.Struct("<QII")
_OPEN_OUT = struct.Struct("<QIi")
_READ_IN = struct.Struct("<QQIIQII")
_STATFS = struct.Struct("<5Q4I24x")
_DIRENT = struct.Struct("<QQII")
_STORE = struct.Struct("<QQII")

_NOTIFY_STORE = 4
_KEEP_CACHE = 1 << 1
_CACHE_DIRECTORY = 1 << 3

_ASYNC_READ = 1 << 0
_DO_READDIRPLUS = 1 << 13
_PARALLEL_DIROPS = 1 << 18
_CACHE_SYMLINKS = 1 << 23

_BLOCK = 4096


class Opcode(IntEnum):
    """What the kernel asks for; any other request is answered with ENOSYS."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    READLINK = 5
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    ACCESS = 34
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    READDIRPLUS = 44


UNANSWERED = {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT}
"""Requests that the kernel wants no reply to."""


class MalformedRequestError(Exception):
    """The bytes are no request."""


@dataclass(frozen=True)
class Request:
    """What the kernel asks.

    Args:
        opcode: For what; one of :class:`Opcode`, or a number that is not spoken here.
        unique: Names the request in its reply.
        node: The file or directory.
        body: What else belongs to it.
    """

    opcode: int
    unique: int
    node: int
    body: bytes


@dataclass(frozen=True)
class Attributes:
    """A file, directory or link, as ``stat`` shows it.

    Args:
        node: Its number.
        mode: Its kind and permissions.
        size: Bytes of its content.
    """

    node: int
    mode: int
    size: int


@dataclass(frozen=True)
class DirectoryEntry:
    """A name in a directory.

    Args:
        name: It.
        attributes: What it leads to.
    """

    name: bytes
    attributes: Attributes


def parse(data: bytes) -> Request:
    """Read one request.

    Raises:
        MalformedRequestError: It is shorter than it says, or than a header.
    """
    if len(data) < _HEADER.size:
        raise MalformedRequestError(f"{len(data)} bytes")
    length, opcode, unique, node, *_ = _HEADER.unpack_from(data)
    if not _HEADER.size <= length <= len(data):
        raise MalformedRequestError(f"{len(data)} bytes that say they are {length}")
    return Request(opcode, unique, node, data[_HEADER.size : length])


def reply(unique: int, body: bytes = b"", error: int = 0) -> bytes:
    """A reply; ``error`` is one of :mod:`errno`'s numbers, and leaves no body."""
    content = b"" if error else body
    return _REPLY.pack(_REPLY.size + len(content), -error, unique) + content


def init_reply(body: bytes, *, list_attributes: bool) -> bytes:
    """The answer to the kernel's greeting.

    Read-ahead is off: a page that nobody asked for might have to be fetched from far away.

    Args:
        body: The greeting's.
        list_attributes: Whether listing a directory tells the attributes of all in it, which spares
            the kernel a look-up of each, but hides which it would have looked up.

    Raises:
        OSError: The kernel's protocol is older than Linux 5.4's.
    """
    major, minor, _, offered = _INIT_IN.unpack_from(_padded(body, _INIT_IN.size))
    if (major, minor) < (MAJOR, MINOR):
        raise OSError(errno.EPROTO, "the kernel speaks an older FUSE")
    wanted = _ASYNC_READ | _PARALLEL_DIROPS | _CACHE_SYMLINKS
    if list_attributes:
        wanted |= _DO_READDIRPLUS
    background, congestion, granularity = 64, 48, 1
    return _INIT_OUT.pack(
        *(MAJOR, MINOR, 0, offered & wanted, background, congestion, MAX_WRITE, granularity),
        *(0, 0, 0, 0),
    )


def name_of(body: bytes) -> bytes:
    """The name that a look-up asks for."""
    return body.partition(b"\0")[0]


def read_range(body: bytes) -> tuple[int, int]:
    """Offset and size of a read of a file or a listing of a directory, in bytes or entries."""
    _, offset, size, *_ = _READ_IN.unpack_from(_padded(body, _READ_IN.size))
    return offset, size


def attributes_reply(attributes: Attributes) -> bytes:
    """The answer to a ``stat``."""
    return _ATTRIBUTES_OUT.pack(FOREVER, 0, 0) + _pack(attributes)


def entry_reply(attributes: Attributes | None) -> bytes:
    """The answer to a look-up; None says that there is nothing, which is cached too."""
    if attributes is None:
        return _ENTRY.pack(0, 0, FOREVER, 0, 0, 0) + bytes(_ATTRIBUTES.size)
    return _ENTRY.pack(attributes.node, 0, FOREVER, FOREVER, 0, 0) + _pack(attributes)


def open_reply(*, directory: bool = False) -> bytes:
    """The answer to an open: what the kernel has cached of it stays good."""
    return _OPEN_OUT.pack(0, _KEEP_CACHE | (_CACHE_DIRECTORY if directory else 0), 0)


def statfs_reply(size: int, files: int) -> bytes:
    """The answer to a ``statfs`` of a full, read-only file system.

    Args:
        size: Bytes of all files.
        files: How many there are.
    """
    return _STATFS.pack(-(-size // _BLOCK), 0, 0, files, 0, _BLOCK, 255, _BLOCK, 0)


def listing(entries: Iterable[tuple[int, DirectoryEntry]], size: int, *, attributes: bool) -> bytes:
    """A directory's entries, as many as there is room for.

    Args:
        entries: Each with the offset to go on from after it.
        size: Bytes that the kernel has room for.
        attributes: Whether it asked for the attributes too.
    """
    found = bytearray()
    for following, entry in entries:
        about = entry.attributes
        kind = stat.S_IFMT(about.mode) >> 12
        item = _DIRENT.pack(about.node, following, len(entry.name), kind) + entry.name
        item += bytes(-len(item) % 8)
        if attributes:
            # "." and ".." are never looked up; a node of 0 says so.
            known = None if entry.name in (b".", b"..") else about
            item = entry_reply(known) + item
        if len(found) + len(item) > size:
            break
        found += item
    return bytes(found)


def store_notice(node: int, offset: int, size: int) -> bytes:
    """Tells the kernel the content of a file's pages, which follows; it then need not ask."""
    total = _REPLY.size + _STORE.size + size
    return _REPLY.pack(total, _NOTIFY_STORE, 0) + _STORE.pack(node, offset, size, 0)


def _pack(attributes: Attributes) -> bytes:
    blocks = -(-attributes.size // 512)
    links = 2 if stat.S_ISDIR(attributes.mode) else 1
    about = (attributes.mode, links, 0, 0, 0, _BLOCK, 0)
    return _ATTRIBUTES.pack(attributes.node, attributes.size, blocks, 0, 0, 0, 0, 0, 0, *about)


def _padded(body: bytes, size: int) -> bytes:
    return body if len(body) >= size else body + bytes(size - len(body))
