from __future__ import annotations

import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.snapshot.digests import CHUNK, FileDigest, digest_chunk, digest_file
from bentofn.packager.snapshot.frames import data_size, read_frames, write_frames
from bentofn.runtime.errors import UserError

writes = st.lists(
    st.tuples(st.integers(0, 5 * CHUNK), st.binary(min_size=1, max_size=40)), max_size=6
)


def sparse(path: Path, size: int, content: list[tuple[int, bytes]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in content:
            if offset + len(data) <= size:
                os.pwrite(file.fileno(), data, offset)


def packed(folder: Path, *names: str) -> tuple[list[FileDigest], list[int], Path]:
    files = [digest_file(folder, name) for name in names]
    blob = folder / "blob"
    with blob.open("wb") as out:
        sizes = write_frames(folder, files, out)
    return files, sizes, blob


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 5 * CHUNK), content=writes)
def test_what_is_packed_comes_back_sparse(
    tmp_path_factory: pytest.TempPathFactory, size: int, content: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    sparse(folder / "images" / "mem.raw", size, content)
    sparse(folder / "hot.json", 3, [(0, b"{}\n")])
    files, sizes, blob = packed(folder, "hot.json", "images/mem.raw")
    (target := folder / "out").mkdir()
    read_frames(blob, files, sizes, target)
    for file in files:
        assert (target / file.path).read_bytes() == (folder / file.path).read_bytes()
        assert digest_file(target, file.path) == file
    blocks = (target / "images" / "mem.raw").stat().st_blocks * 512
    assert blocks <= data_size(files)


def one(tmp_path: Path) -> tuple[list[FileDigest], list[int], Path, Path]:
    sparse(tmp_path / "mem.raw", 2 * CHUNK, [(0, b"a"), (CHUNK, os.urandom(100))])
    files, sizes, blob = packed(tmp_path, "mem.raw")
    (target := tmp_path / "out").mkdir()
    return files, sizes, blob, target


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    files, sizes, blob, target = one(tmp_path)
    data = bytearray(blob.read_bytes())
    data[-8] ^= 1
    blob.write_bytes(data)
    with pytest.raises(UserError, match=r"mem\.raw is damaged or was tampered with"):
        read_frames(blob, files, sizes, target)


def test_a_blob_cut_short_is_found(tmp_path: Path) -> None:
    files, sizes, blob, target = one(tmp_path)
    os.truncate(blob, blob.stat().st_size - 1)
    with pytest.raises(UserError, match="damaged"):
        read_frames(blob, files, sizes, target)


def test_sizes_of_other_files_are_refused(tmp_path: Path) -> None:
    files, sizes, blob, target = one(tmp_path)
    for wrong in ([], sizes[:1], [*sizes, 1], [0, 1], [-1, 1]):
        with pytest.raises(ValueError, match=r"sizes|argument"):
            read_frames(blob, files, wrong, target)


def test_a_frame_that_says_more_than_a_chunk_is_not_unpacked(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    (tmp_path / "blob").write_bytes(bomb)
    file = FileDigest("mem.raw", CHUNK, (digest_chunk(b"x"),))
    (target := tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="damaged"):
        read_frames(tmp_path / "blob", [file], [len(bomb)], target)
    assert (target / "mem.raw").stat().st_blocks == 0


def test_what_is_not_as_its_digests_say_is_not_packed(tmp_path: Path) -> None:
    sparse(tmp_path / "mem.raw", 10, [(0, b"a")])
    file = digest_file(tmp_path, "mem.raw")
    with pytest.raises(UserError, match="not as it was when it was taken"):
        write_frames(tmp_path, [replace(file, chunks=("0" * 64,))], BytesIO())
