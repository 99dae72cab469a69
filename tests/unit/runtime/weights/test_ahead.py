"""Files are read while something else is waited for."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from bentofn.runtime.weights.ahead import reading_ahead
from bentofn.runtime.weights.memory import Residency

SIZE = 40 << 20


def evicted(path: Path) -> Path:
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def is_cached(path: Path) -> bool:
    with path.open("rb") as file:
        residency = Residency(file.fileno(), SIZE)
        return all(residency.has(at, 1 << 20) for at in range(0, SIZE, 1 << 20))


def test_what_is_needed_next_is_in_the_page_cache(tmp_path: Path) -> None:
    first, second = evicted(tmp_path / "1"), evicted(tmp_path / "2")
    with reading_ahead([first, second]):
        deadline = time.monotonic() + 30
        while not (is_cached(first) and is_cached(second)) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert is_cached(first)
    assert is_cached(second)


def test_what_cannot_be_read_is_let_pass(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with reading_ahead([tmp_path / "none", tmp_path, tmp_path / "empty"]):
        pass


def test_it_ends_with_the_wait(tmp_path: Path) -> None:
    path = evicted(tmp_path / "1")
    with reading_ahead([path] * 100_000):
        pass
    assert "ahead" not in {thread.name for thread in threading.enumerate()}
