from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentofn.runtime.checkpoints.waiting import wait
from bentofn.runtime.errors import UserError

NOWHERE = Path("/nonexistent")


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Does something while the test waits."""
    threads: list[threading.Thread] = []

    def start(call: Callable[[], object]) -> None:
        threads.append(threading.Thread(target=call))
        threads[-1].start()

    yield start
    for each in threads:
        each.join()


def test_it_waits_until_its_file_is_removed(
    tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    ready, removed = tmp_path / "run" / "ready", threading.Event()

    def remove() -> None:
        while not ready.exists():
            time.sleep(0.01)
        removed.set()
        ready.unlink()

    meanwhile(remove)
    wait(ready, NOWHERE)
    assert removed.is_set()


@pytest.mark.parametrize("said", [b"restore\n", b"resume\n", b"error\n"])
def test_gvisor_is_asked_for_a_checkpoint(
    tmp_path: Path,
    meanwhile: Callable[[Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
    said: bytes,
) -> None:
    """A pseudo-terminal stands in for gVisor's file: what is written there, and read after it."""
    theirs, ours = os.openpty()
    tty.setraw(ours)
    asked = []

    def take() -> None:
        asked.append(os.read(theirs, 16))
        os.write(theirs, said)

    meanwhile(take)
    wait(tmp_path / "ready", Path(os.ttyname(ours)))
    os.close(theirs)
    os.close(ours)
    assert asked == [b"1"]
    assert not (tmp_path / "ready").exists()
    assert ("could not" in capsys.readouterr().err) == (said == b"error\n")


def test_a_file_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"BENTOFN_CHECKPOINT names .*cannot be written"):
        wait(tmp_path / "file" / "ready", NOWHERE)
