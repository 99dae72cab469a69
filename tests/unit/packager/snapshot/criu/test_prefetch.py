"""A hot set is read ahead where the page cache does not hold it, and left alone where it does."""

import errno
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from bentofn.packager.snapshot.criu.hot import HotFile, HotSet
from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.criu.prefetch import Prefetch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that the page cache does not hold, on a disk that can say so."""
    path = tmp_path / "mem.raw"
    path.write_bytes(os.urandom(6 * HUGE + 5000))
    with path.open("rb+") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            os.preadv(opened.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                pytest.skip("the disk of the temporary directory cannot read without waiting")
        else:
            pytest.skip("the disk of the temporary directory keeps everything in memory")
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def held(path: Path, offset: int) -> bool:
    with path.open("rb") as opened:
        try:
            return os.preadv(opened.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


def test_what_was_evicted_is_read(file: Path) -> None:
    # A block of 2 MiB, two small ranges, and the end of the file.
    hot = HotSet(
        (HotFile(file, ((0, HUGE), (3 * HUGE, 9000), (4 * HUGE, 5000), (6 * HUGE, 5000))),)
    )
    prefetch = Prefetch(hot)
    assert prefetch.start()
    assert prefetch.wait(60)
    assert all(
        held(file, offset) for offset in (0, HUGE - 1, 3 * HUGE, 4 * HUGE + 4999, 6 * HUGE + 4999)
    )
    assert prefetch.is_resident()
    assert not prefetch.start(), "there is nothing left to read"


def test_nothing_is_read_twice_at_once(file: Path) -> None:
    prefetch = Prefetch(HotSet((HotFile(file, ((0, 6 * HUGE),)),)))
    assert prefetch.start()
    prefetch.start()
    prefetch.close()
    assert prefetch.wait(0)


def test_what_is_gone_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    names = ("missing", "fifo", ".")
    prefetch = Prefetch(HotSet(tuple(HotFile(tmp_path / name, ((0, HUGE),)) for name in names)))
    assert not prefetch.start()
    assert not Prefetch(HotSet(())).start()


def test_a_file_in_memory_only_is_resident() -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm")
    with NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(bytes(HUGE + 5000))
        file.flush()
        hot = HotSet((HotFile(Path(file.name), ((0, HUGE + 5000), (4 * HUGE, 10))),))
        assert not Prefetch(hot).start()
