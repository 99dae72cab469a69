"""The list of hot pages, and the pack that holds them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.fuse.tree import FileContent, Tree
from bentofn.packager.parts import ModelLayer
from bentofn.packager.prefetch.choose import choose
from bentofn.packager.prefetch.pack import unpack, write_pack
from bentofn.packager.prefetch.trace import PAGE, HotFile, Recorder, Trace, runs
from bentofn.packager.store import Descriptor
from bentofn.runtime.errors import UserError

BLOCKS = {"size": 65536, "digests": {}}
SIZES = st.integers(0, 40 * PAGE)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    files = []
    for name in sorted(draw(st.sets(st.sampled_from("abcdef")))):
        size = draw(SIZES)
        pages = draw(st.sets(st.integers(0, 50)))
        packed = draw(st.sets(st.sampled_from(sorted(pages)))) if pages else set()
        hot = runs(pages, size), runs(packed, size)
        files.append(HotFile(f"env/{name}", size, ("open",), *hot))
    return Trace(tuple(files), draw(st.booleans()))


def content(path: str, offset: int, size: int) -> bytes:
    return bytes(
        (ord(path[-1]) * 7 + number // 100) % 251 for number in range(offset, offset + size)
    )


@given(traces())
def test_a_list_comes_back_as_it_was(trace: Trace) -> None:
    assert Trace.from_json(trace.to_json()) == trace


@given(traces())
def test_a_pack_holds_every_hot_page_where_it_says(
    tmp_path_factory: pytest.TempPathFactory, trace: Trace
) -> None:
    folder = tmp_path_factory.mktemp("pack")
    with (folder / "blob").open("wb") as blob:
        write_pack(trace, content, blob, 3)
    pack = unpack(trace, [folder / "blob"], folder / "pages")
    pages = pack.path.read_bytes()
    for file in trace.files:
        found = pack.ranges(file.path)
        assert [place for place, _ in found] == list(file.packed)
        for (offset, size), position in found:
            assert pages[position : position + size] == content(file.path, offset, size)


def test_the_same_trace_gives_the_same_pack() -> None:
    trace = Trace((HotFile("env/a", 3 * PAGE, ("read",), ((0, 3 * PAGE),), ((0, 3 * PAGE),)),))
    packs = [io.BytesIO(), io.BytesIO()]
    for pack in packs:
        write_pack(trace, content, pack, 9)
    assert packs[0].getvalue() == packs[1].getvalue()


def test_what_was_asked_for_is_noted_with_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5 * PAGE + 7))
    tree, recorder = Tree(), Recorder()
    node = tree.add_file("env/file", FileContent(tmp_path / "file", 5 * PAGE + 7))
    seen = tree.add_file("env/seen", FileContent(tmp_path / "file", 9))
    recorder.found(seen)
    recorder.found(node.__class__(99, 1, "env", 0o40755))
    recorder.found(node)
    recorder.opened(node)
    for offset in (0, PAGE, 5 * PAGE):
        recorder.read(node, offset, PAGE if offset < 5 * PAGE else 7)
    file, looked_up = recorder.trace(tree).files
    assert (file.why, file.packed) == (("stat", "open", "read"), ())
    assert file.ranges == ((0, 2 * PAGE), (5 * PAGE, 7))
    assert file.bytes == 2 * PAGE + 7
    assert looked_up == HotFile("env/seen", 9, ("stat",))


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": "src/service.py"},
        {"size": -1},
        {"size": "many"},
        {"pages": [[0, 0]]},
        {"pages": [[1, 1], [0, 1]]},
        {"pages": [[0, 2], [1, 1]]},
        {"pages": [[0, 4]]},
        {"pages": [[0, 1 << 60]]},
        {"pages": [["0", 1]]},
        {"packed": [[1, 2]]},
    ],
)
def test_a_list_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    file = {"path": "env/a", "size": 2 * PAGE, "why": ["read"], "pages": [[0, 1]], "packed": []}
    whole = json.dumps(
        {"schema": 1, "seen": True, "files": [file | change], "blocks": BLOCKS, "early": []}
    ).encode()
    with pytest.raises(UserError, match="what to fetch first cannot be used"):
        Trace.from_json(whole)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        Trace.from_json(data)


@pytest.mark.parametrize("plain", [2 * PAGE - 1, 2 * PAGE + 1, 400 * PAGE])
def test_a_pack_of_another_size_is_refused(tmp_path: Path, plain: int) -> None:
    trace = Trace((HotFile("env/a", 2 * PAGE, ("read",), ((0, 2 * PAGE),), ((0, 2 * PAGE),)),))
    (tmp_path / "blob").write_bytes(zstandard.compress(bytes(plain)))
    with pytest.raises(UserError, match="is damaged"):
        unpack(trace, [tmp_path / "blob"], tmp_path / "pages")
    assert [path.name for path in tmp_path.iterdir()] == ["blob"]


def part(offset: int, size: int, digit: str) -> ModelLayer:
    return ModelLayer("m", Descriptor("raw", f"sha256:{digit * 64}", size), offset)


def test_parts_that_are_hot_nearly_everywhere_are_fetched_as_they_are() -> None:
    size = 20 * PAGE + 10
    parts = [
        part(0, PAGE, "a"),
        part(PAGE, 8 * PAGE + 50, "b"),
        part(9 * PAGE + 50, 11 * PAGE - 40, "c"),
    ]
    hot = runs([0, *range(1, 9), 15], size)
    trace = Trace(
        (HotFile("env/x", PAGE, ("read",), ((0, PAGE),)), HotFile("models/m", size, ("read",), hot))
    )
    chosen = choose(trace, {"models/m"}, {"models/m": parts})
    assert chosen.early == tuple(f"sha256:{digit * 64}" for digit in "ab")
    assert chosen.files[0].packed == ()
    assert chosen.files[1].packed == ((15 * PAGE, PAGE),)


@given(st.lists(st.integers(1, 5 * PAGE), min_size=1, max_size=8), st.sets(st.integers(0, 40)))
def test_every_hot_byte_is_in_the_pack_or_in_a_part_that_is_fetched(
    sizes: list[int], pages: set[int]
) -> None:
    parts, offset = [], 0
    for number, size in enumerate(sizes):
        parts.append(part(offset, size, f"{number:x}"))
        offset += size
    file = HotFile("models/m", offset, ("read",), runs(pages, offset))
    chosen = choose(Trace((file,)), {"models/m"}, {"models/m": parts})
    early = [each for each in parts if each.blob.digest in chosen.early]
    covered = bytearray(offset)
    for start, size in [*chosen.files[0].packed, *((p.offset, p.blob.size) for p in early)]:
        covered[start : start + size] = b"x" * size
    for start, size in file.ranges:
        assert covered[start : start + size] == b"x" * size
    assert chosen.packed_bytes <= file.bytes
