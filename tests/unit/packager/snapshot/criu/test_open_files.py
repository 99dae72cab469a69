"""What a restore is told of a process's open files."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.images import REGULAR_FILE, FileEntry, RegularFile
from bentofn.packager.snapshot.criu.open_files import LISTENER, renamed
from bentofn.packager.snapshot.criu.schema import message_class

WIRE = FileEntry(REGULAR_FILE, 1, RegularFile(1, 0, 0, "/home/wire"))
UNIX_SOCKET = 5  # UNIXSK of CRIU's images/fdinfo.proto


def socket(inode: int, name: bytes) -> FileEntry:
    found = message_class("UnixSocket")(ino=inode, name=name)
    file = message_class("SocketFile")(usk=found.SerializeToString())
    return FileEntry(UNIX_SOCKET, 2, rest=file.SerializeToString())


@given(st.integers(1, (1 << 32) - 1), st.binary(max_size=90))
def test_of_sockets_only_the_one_of_nvidias_library_gets_another_number(
    inode: int, name: bytes
) -> None:
    others = [socket(inode, b"x" + name), socket(inode, b"\0" + name.replace(b"cuda", b""))]
    cudas = socket(inode, b"\0cuda-uvmfd-" + name)
    _, *kept, given = renamed((WIRE, *others, cudas), Path("/home/wire"))
    assert kept == others
    number = int(LISTENER.removeprefix("socket:[").removesuffix("]"))
    assert given == socket(number, b"\0cuda-uvmfd-" + name)
