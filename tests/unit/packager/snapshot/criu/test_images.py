"""Images of CRIU are read, and written back byte by byte."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.images import (
    INVENTORY,
    FileEntry,
    Memory,
    Pagemap,
    PageRun,
    RegularFile,
    Vma,
    encode_files,
    encode_memory,
    encode_pagemap,
    read_files,
    read_memory,
    read_pagemap,
    read_processes,
    read_version,
)
from bentofn.runtime.errors import UserError

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
maybe32, maybe64 = st.none() | u32, st.none() | u64
unknown = st.sampled_from([b"", b"\xa0\x06\x01", b"\xa2\x06\x03abc\xa8\x06\x07"])
vmas = st.builds(
    Vma, u64, u64, u64, u64, u32, u32, u32, st.integers(-1, 2**31), maybe64, maybe32, unknown
)
runs = st.builds(PageRun, u64, u32, st.none() | st.booleans(), maybe32, maybe64, unknown)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
regular = st.builds(
    RegularFile,
    u32,
    u32,
    u64,
    names,
    st.binary(max_size=8),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    maybe64,
    st.none() | st.booleans(),
    maybe32,
    st.lists(u32, max_size=5).map(tuple),
    maybe32,
    maybe32,
    maybe32,
    unknown,
)
files = st.lists(st.builds(FileEntry, u32, u32, st.none() | regular, unknown), max_size=4)


reusing = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@reusing
@given(mappings=st.lists(vmas, max_size=5), exe=u32, rest=unknown)
def test_memory_comes_back(tmp_path: Path, mappings: list[Vma], exe: int, rest: bytes) -> None:
    path = tmp_path / "mm-1.img"
    path.write_bytes(encode_memory(Memory(tuple(mappings), exe, rest)))
    memory = read_memory(path)
    assert (memory.vmas, memory.exe_file_id) == (tuple(mappings), exe)
    assert encode_memory(memory) == path.read_bytes()


@reusing
@given(pages_id=u32, page_runs=st.lists(runs, max_size=5))
def test_the_list_of_pages_comes_back(
    tmp_path: Path, pages_id: int, page_runs: list[PageRun]
) -> None:
    path = tmp_path / "pagemap-1.img"
    path.write_bytes(encode_pagemap(Pagemap(pages_id, tuple(page_runs))))
    assert read_pagemap(path) == Pagemap(pages_id, tuple(page_runs))


@reusing
@given(entries=files)
def test_the_list_of_files_comes_back(tmp_path: Path, entries: list[FileEntry]) -> None:
    path = tmp_path / "files.img"
    path.write_bytes(encode_files(entries))
    assert read_files(path) == tuple(entries)


@reusing
@given(data=st.binary(max_size=60), good=st.booleans())
def test_damaged_images_are_refused_with_a_sentence(
    tmp_path: Path, data: bytes, good: bool
) -> None:
    path = tmp_path / "any.img"
    path.write_bytes((encode_files([]) if good else b"") + data)
    for read in (read_files, read_memory, read_pagemap, read_processes, read_version):
        with suppress(UserError):
            read(path)


def test_a_version_from_the_future_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inventory.img"
    path.write_bytes(struct.pack("<II", INVENTORY, 2) + bytes([0x08, 9]))
    with pytest.raises(UserError, match="version 9"):
        read_version(path)
