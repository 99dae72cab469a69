"""The FUSE protocol without a kernel: bytes in, bytes out."""

from __future__ import annotations

import errno
import os
import stat
import struct

from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.fuse import protocol
from bentofn.packager.fuse.filesystem import FileSystem
from bentofn.packager.fuse.protocol import MalformedRequestError, Opcode, Request
from bentofn.packager.fuse.tree import Node, Tree


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]

    def hot(self) -> list[tuple[int, bytes]]:
        return []


class Broken(Bytes):
    def read(self, offset: int, size: int) -> bytes:
        raise OSError(errno.EIO, "gone")


class Seen:
    def __init__(self) -> None:
        self.paths: list[tuple[str, str]] = []

    def found(self, node: Node) -> None:
        self.paths.append(("stat", node.path))

    def opened(self, node: Node) -> None:
        self.paths.append(("open", node.path))

    def read(self, node: Node, offset: int, size: int) -> None:
        self.paths.append((f"{offset}+{size}", node.path))


def make() -> tuple[FileSystem, Seen, Tree]:
    tree, seen = Tree(), Seen()
    tree.add_file("env/a.py", Bytes(b"print(1)\n"))
    tree.add_file("env/bin/run", Bytes(b"#!"), executable=True)
    tree.add_file("env/broken", Broken(b"12"))
    tree.add_link("env/link", "a.py")
    tree.add_directory("models")
    return FileSystem(tree, seen, list_attributes=True), seen, tree


def ask(system: FileSystem, opcode: int, node: int, body: bytes = b"") -> tuple[int, bytes]:
    answer = system.answer(Request(opcode, 7, node, body))
    assert answer is not None
    length, error, unique = struct.unpack_from("<IiQ", answer)
    assert (length, unique) == (len(answer), 7)
    return -error, answer[16:]


def look_up(system: FileSystem, path: str) -> int:
    node = protocol.ROOT
    for name in path.split("/"):
        error, body = ask(system, Opcode.LOOKUP, node, os.fsencode(name) + b"\0")
        assert not error
        node = struct.unpack_from("<Q", body)[0]
    return node


def reading(offset: int, size: int) -> bytes:
    return struct.pack("<QQIIQII", 0, offset, size, 0, 0, 0, 0)


def test_a_file_is_looked_up_opened_and_read() -> None:
    system, seen, _ = make()
    node = look_up(system, "env/a.py")
    assert ask(system, Opcode.OPEN, node)[0] == 0
    assert ask(system, Opcode.READ, node, reading(5, 4096)) == (0, b"(1)\n")
    assert seen.paths == [
        ("stat", "env"),
        ("stat", "env/a.py"),
        ("open", "env/a.py"),
        ("5+4", "env/a.py"),
    ]


def test_what_is_not_there_is_remembered_as_absent() -> None:
    system, seen, _ = make()
    error, body = ask(system, Opcode.LOOKUP, protocol.ROOT, b"nothing\0")
    node, _, valid = struct.unpack_from("<QQQ", body)
    assert (error, node) == (0, 0)
    assert valid > 0
    assert seen.paths == []


def test_modes_and_links_are_told() -> None:
    system, _, tree = make()
    modes = {node.path: node.mode for node in tree.nodes()}
    assert modes["env/bin/run"] == stat.S_IFREG | 0o755
    assert modes["env/a.py"] == stat.S_IFREG | 0o644
    assert ask(system, Opcode.READLINK, look_up(system, "env/link")) == (0, b"a.py")


def test_a_file_that_cannot_be_read_says_so() -> None:
    system, _, _ = make()
    broken = look_up(system, "env/broken")
    assert ask(system, Opcode.READ, broken, reading(0, 10)) == (errno.EIO, b"")


def test_writing_is_not_spoken() -> None:
    system, _, _ = make()
    for opcode in (6, 9, 10, 16, 35, 52):  # symlink, mkdir, unlink, write, create, statx
        assert ask(system, opcode, protocol.ROOT)[0] == errno.ENOSYS


def test_a_later_file_takes_the_place_of_an_earlier_one() -> None:
    system, _, tree = make()
    node = look_up(system, "env/a.py")
    tree.add_file("env/a.py", Bytes(b"new"))
    assert look_up(system, "env/a.py") == node
    assert ask(system, Opcode.READ, node, reading(0, 10)) == (0, b"new")


@given(st.lists(st.text("abcé.", min_size=1, max_size=40), unique=True), st.integers(200, 5000))
def test_a_listing_is_whole_whatever_the_room(names: list[str], room: int) -> None:
    names = [name for name in names if name not in (".", "..")]
    tree = Tree()
    for name in names:
        tree.add_file(f"d/{name}", Bytes(b"x"))
    tree.add_directory("d")
    system = FileSystem(tree, Seen(), list_attributes=True)
    folder = look_up(system, "d")
    for opcode, before in ((Opcode.READDIR, 0), (Opcode.READDIRPLUS, 128)):
        found, offset = [], 0
        while True:
            error, body = ask(system, opcode, folder, reading(offset, room + before))
            assert not error
            assert len(body) <= room + before
            if not body:
                break
            while body:
                _, offset, length, _ = struct.unpack_from("<QQII", body, before)
                found.append(body[before + 24 : before + 24 + length].decode())
                body = body[before + 24 + length + -(24 + length) % 8 :]
        assert sorted(found) == sorted([".", "..", *names])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    system, _, _ = make()
    try:
        request = protocol.parse(data)
    except MalformedRequestError:
        return
    system.answer(request)


@given(st.sampled_from(Opcode), st.integers(0, 12), st.binary(max_size=80))
def test_any_body_is_answered(opcode: Opcode, node: int, body: bytes) -> None:
    system, _, _ = make()
    answer = system.answer(Request(opcode, 3, node, body))
    assert (answer is None) == (opcode in protocol.UNANSWERED)
