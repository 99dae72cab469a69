"""The hot set of a snapshot: measured from a process's page table, kept as a file beside it."""

import mmap
import os
from mmap import PAGESIZE as PAGE
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.hot import (
    HOT,
    HotFile,
    HotSet,
    Touched,
    hot_set,
    load_hot_set,
    moved,
    save_hot_set,
    touched_by,
)
from bentofn.packager.snapshot.criu.layout import Placed

WINDOW = 64 << 10


def test_what_a_process_touched(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "mm-1.img").write_bytes(b"image")
    raw = images / "mem.raw"
    raw.write_bytes(os.urandom(200 * WINDOW))
    with raw.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        assert memory[20 * WINDOW] + memory[40 * WINDOW] >= 0
        hot = hot_set([touched_by(os.getpid())], tmp_path)
    files = {file.path: file.ranges for file in hot.files}
    assert files[images / "mm-1.img"] == ((0, 5),)
    ranges = files[raw]
    for touched in (20 * WINDOW, 40 * WINDOW):
        assert any(offset <= touched < offset + length for offset, length in ranges)
    assert not any(offset <= 150 * WINDOW < offset + length for offset, length in ranges)
    assert any(path.name.startswith(("libc.", "libc-", "python", "libpython")) for path in files)


def test_what_was_touched_is_found_where_it_stands_now() -> None:
    before, now, library = Path("/before/mem.raw"), Path("/now/mem.raw"), Path("/lib/libc.so.6")
    touched = [
        Touched(4 * PAGE, 4 * PAGE, before, 0),  # over the border of two ranges
        Touched(90 * PAGE, PAGE, before, 8 * PAGE),  # what did not move
        Touched(200 * PAGE, PAGE, library, 3 * PAGE),
    ]
    placed = [Placed(2 * PAGE, 6 * PAGE, 100 * PAGE), Placed(6 * PAGE, 9 * PAGE, 50 * PAGE)]
    assert moved(touched, before, placed, now) == [
        Touched(4 * PAGE, 2 * PAGE, now, 102 * PAGE),
        Touched(6 * PAGE, 2 * PAGE, now, 50 * PAGE),
        touched[2],
    ]


def test_what_is_needed_sooner_comes_first_and_once(tmp_path: Path) -> None:
    raw, library = tmp_path / "images" / "mem.raw", Path("/lib/libc.so.6")
    far = 1 << 30
    stages = [
        [Touched(0, PAGE, raw, far)],
        [Touched(0, PAGE, raw, far), Touched(0, 2 * PAGE, library, 0)],
        [Touched(0, 3 * PAGE, raw, far - PAGE), Touched(0, 2 * PAGE, library, 0)],
    ]
    assert hot_set(stages, tmp_path).files == (
        HotFile(raw, ((far, PAGE),)),
        HotFile(library, ((0, 2 * PAGE),)),
        HotFile(raw, ((far - PAGE, PAGE), (far + PAGE, PAGE))),
    )


ranges = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 9)), min_size=1, max_size=8).map(
    lambda pairs: tuple(
        (offset * 100 * PAGE, length * PAGE) for offset, length in sorted(dict(pairs).items())
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(inside=ranges, outside=ranges)
def test_a_hot_set_comes_back(
    tmp_path: Path, inside: tuple[tuple[int, int], ...], outside: tuple[tuple[int, int], ...]
) -> None:
    files = (
        HotFile(tmp_path / "images" / "mem.raw", inside),
        HotFile(Path("/usr/lib/libc.so.6"), outside),
    )
    hot = HotSet(files)
    save_hot_set(hot, tmp_path)
    assert load_hot_set(tmp_path) == hot
    assert (tmp_path / HOT).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"format":9,"files":{}}', b'{"format":2,"files":[["a",[1]]]}']
)
def test_a_damaged_hot_set_is_none(tmp_path: Path, content: bytes) -> None:
    assert load_hot_set(tmp_path) is None
    (tmp_path / HOT).write_bytes(content)
    assert load_hot_set(tmp_path) is None
