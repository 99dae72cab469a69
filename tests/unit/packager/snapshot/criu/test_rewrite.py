"""A dump is rewritten so that its memory is mapped from one sparse file."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from mmap import PAGESIZE as PAGE
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentofn.packager.snapshot.criu.images import read_files, read_memory, read_pagemap
from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.criu.open_files import WIRE
from bentofn.packager.snapshot.criu.rewrite import RAW, rewrite
from bentofn.runtime.errors import UserError

STACK = 0x122


@pytest.fixture
def files(tmp_path: Path) -> dict[int, Path]:
    paths = {1: tmp_path / "program", 2: tmp_path / "wire", 3: tmp_path / "library.so"}
    for path in paths.values():
        path.write_bytes(os.urandom(5 * PAGE + 100))
    return paths


@pytest.fixture
def dumped(dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]) -> Path:
    """A heap of 3 MiB, half of it there, a library with .data that was written to, a stack."""
    base = dumps.base
    vmas = [
        dumps.anonymous(base + PAGE, 700, status=0x221),
        dumps.of_file(base + 2 * HUGE - 300 * PAGE, 302, 3, prot=5),
        dumps.of_file(base + 2 * HUGE + 2 * PAGE, 4, 3, pgoff=2 * PAGE, prot=3),
        dumps.anonymous(base + 2 * HUGE + 6 * PAGE, 2),
        dumps.anonymous(base + 3 * HUGE, 4, prot=0),
        dumps.anonymous(base + 4 * HUGE, 4, flags=STACK),
    ]
    runs = [
        (base + PAGE, 300),
        (base + 500 * PAGE, 200),
        (base + 2 * HUGE + 3 * PAGE, 1),
        (base + 2 * HUGE + 6 * PAGE, 1),
        (base + 4 * HUGE + PAGE, 3),
    ]
    write: Path = dumps.write_dump(tmp_path / "dumped", vmas, runs, files)
    return write


def memory_of(images: Path, address: int, length: int) -> bytes:
    """What a process that was restored from images reads at an address."""
    vma = next(v for v in read_memory(images / "mm-1.img").vmas if v.start <= address < v.end)
    file = next(e.reg for e in read_files(images / "files.img") if e.id == vma.shmid)
    assert file is not None
    with Path(file.name).open("rb") as content:
        content.seek(vma.pgoff + address - vma.start)
        return content.read(length)


def test_private_memory_is_mapped(
    dumps: SimpleNamespace, tmp_path: Path, dumped: Path, files: dict[int, Path]
) -> None:
    output = tmp_path / "images"
    result = rewrite(dumped, output, output, files[2])
    base = dumps.base
    assert (result.mapped_bytes, result.copied_bytes) == (502 * PAGE, 3 * PAGE)
    assert memory_of(output, base + PAGE, PAGE) == dumps.page(base // PAGE + 1)
    assert memory_of(output, base + 600 * PAGE, PAGE) == dumps.page(base // PAGE + 600)
    assert memory_of(output, base + 400 * PAGE, PAGE) == bytes(PAGE)
    library = files[3].read_bytes()
    data = base + 2 * HUGE + 2 * PAGE
    assert memory_of(output, data, PAGE) == library[2 * PAGE : 3 * PAGE]
    assert memory_of(output, data + PAGE, PAGE) == dumps.page(data // PAGE + 1)
    assert memory_of(output, data + 3 * PAGE, PAGE) == library[5 * PAGE :].ljust(PAGE, b"\0")
    assert memory_of(output, data + 4 * PAGE, PAGE) == dumps.page(data // PAGE + 4)

    vmas = read_memory(output / "mm-1.img").vmas
    assert all((vma.pgoff - vma.start) % HUGE == 0 for vma in vmas if vma.shmid == 4)
    assert [vma.madv for vma in vmas if vma.shmid == 4] == [None, None]
    text, guard, stack = vmas[1], vmas[-2], vmas[-1]
    assert (text.shmid, guard.flags, stack.flags) == (3, 0x22, STACK)
    assert vmas[2].end - vmas[2].start == 6 * PAGE, ".data and .bss became one mapping"
    assert [run.vaddr for run in read_pagemap(output / "pagemap-1.img").runs] == [
        base + 4 * HUGE + PAGE
    ]
    assert (output / "pages-1.img").read_bytes() == b"".join(
        dumps.page((base + 4 * HUGE) // PAGE + n) for n in (1, 2, 3)
    )


def test_what_is_written(tmp_path: Path, dumped: Path, files: dict[int, Path]) -> None:
    output, final = tmp_path / "images", tmp_path / "final"
    rewrite(dumped, output, final, files[2])
    raw = (output / RAW).stat()
    assert raw.st_blocks * 512 < 2 * 505 * PAGE < HUGE * 2 < raw.st_size, "sparse"
    assert {path.stat().st_mode & 0o777 for path in output.iterdir()} == {0o600}
    assert output.stat().st_mode & 0o777 == 0o700
    names = {e.id: e.reg.name for e in read_files(output / "files.img") if e.reg}
    assert names[2] == f"/{WIRE}"
    assert names[4] == str(final / RAW)
    assert (output / "core-1.img").read_bytes() == b"core"
    assert not (output / "dump.log").exists()
    assert not (output / "timens-0.img").exists(), "a restored process sees that time has passed"


def test_a_process_with_threads_keeps_the_clock_of_its_dump(
    tmp_path: Path, dumped: Path, files: dict[int, Path]
) -> None:
    (dumped / "core-2.img").write_bytes(b"a second thread")
    rewrite(dumped, tmp_path / "images", tmp_path / "final", files[2])
    assert (tmp_path / "images" / "timens-0.img").exists()


def test_the_same_dump_gives_the_same_bytes(
    tmp_path: Path, dumped: Path, files: dict[int, Path]
) -> None:
    one, two, final = tmp_path / "one", tmp_path / "two", tmp_path / "final"
    rewrite(dumped, one, final, files[2])
    rewrite(dumped, two, final, files[2])
    assert sorted(path.name for path in one.iterdir()) == sorted(p.name for p in two.iterdir())
    for path in one.iterdir():
        # Not to its end: behind the last page is a hole of a gigabyte.
        subprocess.run(["cmp", "-n", str(4 * HUGE), path, two / path.name], check=True)
        assert path.stat().st_size == (two / path.name).stat().st_size


def test_a_whole_2_mib_page_is_asked_for(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    vma = dumps.anonymous(dumps.base + 5 * PAGE, 1024)
    dumped = dumps.write_dump(tmp_path / "dumped", [vma], [(vma.start, 1024)], files)
    output = tmp_path / "images"
    rewrite(dumped, output, output, files[2])
    (mapped,) = read_memory(output / "mm-1.img").vmas
    assert mapped.madv == 1 << 14
    assert mapped.pgoff == 5 * PAGE


@pytest.mark.parametrize("change", [{"flags": 0x2022}, {"madv": 1 << 18}, {"status": 0x209}])
def test_memory_with_a_meaning_of_its_own_stays(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path], change: dict[str, int]
) -> None:
    vma = dumps.anonymous(dumps.base, 4, **change)
    dumped = dumps.write_dump(tmp_path / "dumped", [vma], [(vma.start, 4)], files)
    output = tmp_path / "images"
    assert rewrite(dumped, output, output, files[2]).mapped_bytes == 0
    assert read_memory(output / "mm-1.img").vmas == (vma,)
    assert not (output / RAW).exists()


def test_a_library_that_changed_keeps_its_mapping(
    dumps: SimpleNamespace, tmp_path: Path, dumped: Path, files: dict[int, Path]
) -> None:
    files[3].write_bytes(b"another")
    output = tmp_path / "images"
    rewrite(dumped, output, output, files[2])
    vmas = read_memory(output / "mm-1.img").vmas
    assert [vma.shmid for vma in vmas if vma.status == 0x41] == [4, 3, 3, 4]


def test_a_small_library_moves_whole(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    base = dumps.base
    vmas = [
        dumps.of_file(base, 1, 3, prot=5),
        dumps.of_file(base + PAGE, 3, 3, pgoff=PAGE, prot=0),
        dumps.of_file(base + 4 * PAGE, 1, 3, pgoff=4 * PAGE, prot=3),
    ]
    dumped = dumps.write_dump(tmp_path / "dumped", vmas, [(base + 4 * PAGE, 1)], files)
    output = tmp_path / "images"
    rewrite(dumped, output, output, files[2])
    assert {vma.shmid for vma in read_memory(output / "mm-1.img").vmas} == {4}
    assert memory_of(output, base, PAGE) == files[3].read_bytes()[:PAGE]
    assert memory_of(output, base + PAGE, 3 * PAGE) == bytes(3 * PAGE), "the loader's gap"


def earlier(dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]) -> Path:
    """A dump of a process that was restored from an earlier snapshot and has written one page."""
    files[3] = tmp_path / "earlier" / RAW
    files[3].parent.mkdir()
    with files[3].open("wb") as raw:
        raw.write(os.urandom(2 * PAGE))
        raw.truncate(4 * HUGE)
    vmas = [dumps.of_file(dumps.base, 3 * HUGE // PAGE, 3, prot=3)]
    write: Path = dumps.write_dump(tmp_path / "dumped", vmas, [(dumps.base + PAGE, 1)], files)
    return write


def test_memory_of_an_earlier_snapshot_is_taken_over(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    dumped, output = earlier(dumps, tmp_path, files), tmp_path / "images"
    rewrite(dumped, output, output, files[2])
    assert {vma.shmid for vma in read_memory(output / "mm-1.img").vmas} == {4}
    assert memory_of(output, dumps.base, PAGE) == files[3].read_bytes()[:PAGE]
    assert memory_of(output, dumps.base + PAGE, PAGE) != files[3].read_bytes()[PAGE : 2 * PAGE]
    assert memory_of(output, dumps.base + 2 * PAGE, HUGE) == bytes(HUGE)
    assert (output / RAW).stat().st_blocks * 512 <= HUGE, "zeros take room"


def test_memory_of_an_earlier_snapshot_that_is_gone_is_refused(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    dumped = earlier(dumps, tmp_path, files)
    files[3].unlink()
    with pytest.raises(UserError, match="cannot be moved"):
        rewrite(dumped, tmp_path / "images", tmp_path / "images", files[2])


def test_memory_of_jemalloc_stays(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    files[3].write_bytes(bytes(PAGE - 4) + b"_RJEM_MALLOC_CONF" + bytes(PAGE))
    base = dumps.base
    heap = dumps.anonymous(base, 1, status=0x221)
    arena = dumps.anonymous(base + HUGE, 1)
    library = dumps.of_file(base + 2 * HUGE, 2, 3, prot=5)
    runs = [(heap.start, 1), (arena.start, 1)]
    dumped = dumps.write_dump(tmp_path / "dumped", [heap, arena, library], runs, files)
    output = tmp_path / "images"
    result = rewrite(dumped, output, output, files[2])
    assert "jemalloc" in result.note
    assert read_memory(output / "mm-1.img").vmas[1] == arena
    assert (result.mapped_bytes, result.copied_bytes) == (PAGE, PAGE)


def test_several_processes_stay_as_they_were(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    vma = dumps.anonymous(dumps.base, 4)
    dumped = dumps.write_dump(tmp_path / "dumped", [vma], [(vma.start, 4)], files, pids=(1, 7))
    output = tmp_path / "images"
    result = rewrite(dumped, output, output, files[2])
    assert "2 processes" in result.note
    for name in ("pages-1.img", "pages-7.img", "mm-7.img", "pagemap-1.img"):
        assert (output / name).read_bytes() == (dumped / name).read_bytes()


def test_a_cut_file_of_pages_is_refused(
    tmp_path: Path, dumped: Path, files: dict[int, Path]
) -> None:
    os.truncate(dumped / "pages-1.img", 10 * PAGE)
    with pytest.raises(UserError, match=r"pages-1.img is 40960 bytes.*take the snapshot again"):
        rewrite(dumped, tmp_path / "images", tmp_path / "images", files[2])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dumped",
        "library.so",
        "program",
        "wire",
    ]


def test_a_dump_without_the_wire_is_refused(tmp_path: Path, dumped: Path) -> None:
    with pytest.raises(UserError, match="does not hold /no/wire open"):
        rewrite(dumped, tmp_path / "images", tmp_path / "images", Path("/no/wire"))


@pytest.mark.parametrize("name", ["inventory.img", "files.img", "mm-1.img", "pagemap-1.img"])
def test_a_dump_without_an_image_is_refused(
    tmp_path: Path, dumped: Path, files: dict[int, Path], name: str
) -> None:
    (dumped / name).unlink()
    with pytest.raises(UserError, match=rf"{name} is missing"):
        rewrite(dumped, tmp_path / "images", tmp_path / "images", files[2])
    assert not (tmp_path / "images").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk: Path, dumped: Path, files: dict[int, Path]) -> None:
    with pytest.raises(UserError, match="full"):
        rewrite(dumped, small_disk / "images", small_disk / "images", files[2])
    assert list(small_disk.iterdir()) == []


def test_large_memory_of_a_process_with_gpu_memory_is_filled_and_not_mapped(
    dumps: SimpleNamespace, tmp_path: Path, files: dict[int, Path]
) -> None:
    base, pages = dumps.base, 5 * HUGE // PAGE
    large = dumps.anonymous(base, pages)
    scattered = dumps.anonymous(base + 8 * HUGE, 2 * pages)
    constant = dumps.anonymous(base + 20 * HUGE, pages, prot=1)
    vmas = [large, scattered, constant, dumps.anonymous(base + 30 * HUGE, 4)]
    # Pieces of a megabyte, as CRIU writes them, and single pages.
    runs = [(base + n * HUGE // 2, pages // 10) for n in range(10)]
    runs += [(scattered.start + n * 2 * PAGE, 1) for n in range(pages)]
    runs += [(constant.start, pages), (vmas[3].start, 4)]
    dumped = dumps.write_dump(tmp_path / "dumped", vmas, runs, files)
    with (dumped / "pages-1.img").open("r+b") as content:
        content.seek(2 * HUGE)
        content.write(bytes(HUGE))
    output = tmp_path / "images"
    rewrite(dumped, output, output, files[2], on_gpu=True)

    ranges = json.loads((output / "fill.json").read_bytes())["ranges"]
    assert ranges == [[0, base, 2 * HUGE], [3 * HUGE, base + 3 * HUGE, 2 * HUGE]], "zeros are not"
    content = (output / "fill.raw").read_bytes()
    assert content[:PAGE] == dumps.page(base // PAGE)
    assert content[5 * HUGE - PAGE : 5 * HUGE] == dumps.page(base // PAGE + pages - 1)
    assert (output / "fill.raw").stat().st_blocks * 512 <= 4 * HUGE + PAGE, (
        "what is mapped is twice"
    )
    found = read_memory(output / "mm-1.img").vmas
    assert found[0] == replace(large, madv=1 << 14), "anonymous, and to be in large pages"
    assert [vma.status for vma in found[1:]] == [0x41, 0x41, 0x41]
    assert not read_pagemap(output / "pagemap-1.img").runs
