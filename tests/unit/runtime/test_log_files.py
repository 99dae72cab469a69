"""A log file is open in no copy, and what each copy logs comes after what was there."""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bentofn.runtime.log_files import close_log_files

MAKERS: tuple[Callable[[Path], logging.FileHandler], ...] = (
    logging.FileHandler,
    partial(logging.FileHandler, mode="w"),
    logging.handlers.RotatingFileHandler,
    logging.handlers.WatchedFileHandler,
)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.of.log.files")
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("make", MAKERS)
def test_a_log_file_is_closed_until_the_next_record(
    tmp_path: Path, logger: logging.Logger, make: Callable[[Path], logging.FileHandler]
) -> None:
    path = tmp_path / "service.log"
    logger.addHandler(make(path))
    logger.error("before")
    assert is_open(path)
    close_log_files()
    close_log_files()
    assert not is_open(path)
    logger.error("after")
    assert path.read_text() == "before\nafter\n"


def test_a_file_that_is_not_open_yet_stays_so(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "service.log"
    path.write_text("old\n")
    logger.addHandler(logging.FileHandler(path, mode="w", delay=True))
    close_log_files()
    logger.error("new")
    assert path.read_text() == "new\n"


def is_open(path: Path) -> bool:
    """Whether this process has it open."""
    state = path.stat()
    for fd in Path("/dev/fd").iterdir():
        try:
            found = os.fstat(int(fd.name))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (state.st_dev, state.st_ino):
            return True
    return False
