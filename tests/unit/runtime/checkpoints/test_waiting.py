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
        wait_for(ready)
        removed.set()
        ready.unlink()

    meanwhile(remove)
    wait(ready, NOWHERE)
    assert removed.is_set()


def test_it_ends_once_an_agent_says_that_the_checkpoint_is_taken(
    tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    ready, done = tmp_path / "ready-for-checkpoint", tmp_path / "snapshot-complete"
    done.touch()  # as left by an earlier one
    said = threading.Event()

    def say() -> None:
        wait_for(ready)
        said.set()
        done.touch()

    meanwhile(say)
    with pytest.raises(SystemExit) as ending:
        wait(ready, NOWHERE)
    assert ending.value.code == 0
    assert said.is_set()


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


def test_a_gvisor_that_takes_none_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wait(tmp_path / "ready", Path("/dev/full"))  # which can be opened and not written
    assert "gVisor could not take a checkpoint" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"BENTOFN_CHECKPOINT names .*cannot be written"):
        wait(tmp_path / "file" / "ready", NOWHERE)


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)
