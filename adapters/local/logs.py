"""A function's log: one JSON object a line, bounded by rotation, readable without the platform."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from bentofn.adapters.protocol import LogLine
from bentofn.runtime.request_logs import MARK

MAX_BYTES = 8 << 20
"""Size at which a log is set aside; one that was set aside is kept."""

POLL = 0.2
"""Seconds between two looks for new lines."""


_MARKED = re.compile(rf"{MARK}([\x21-\x7e]{{1,128}}){MARK}")


def log_path(directory: Path, function: str) -> Path:
    """Where a function's log stands."""
    return directory / f"{function}.jsonl"


class LogWriter:
    """Appends to a function's log; opens it at the first line.

    Args:
        path: The log.
        max_bytes: Size at which it is set aside.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: TextIO | None = None
        self._is_ended = False

    def begin(self) -> None:
        """Take lines, again if it had ended."""
        self._is_ended = False

    def write(self, instance: str, stream: str, line: str, request: str = "") -> None:
        """Append one line.

        Args:
            instance: As in :class:`bentofn.adapters.protocol.LogLine`, as the others.
            stream: See there.
            line: The text. An instance may have marked it with its request.
            request: The request's id, where the line has no mark.
        """
        if self._is_ended:
            return
        marked = _MARKED.match(line)
        if marked is not None:
            request, line = marked[1], line[marked.end() :]
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._file = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        entry = LogLine(time.time(), instance, stream, line, request)
        self._file.write(json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n")
        self._file.flush()
        if self._file.tell() > self._max_bytes:
            self.close()
            self._path.replace(_set_aside(self._path))

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def end(self) -> None:
        """Close it and let lines pass: those of a removed function's last processes come late."""
        self._is_ended = True
        self.close()


def remove_logs(directory: Path, function: str) -> None:
    """Delete a function's log."""
    path = log_path(directory, function)
    for file in (path, _set_aside(path)):
        file.unlink(missing_ok=True)


def read_logs(
    path: Path,
    *,
    follow: bool = False,
    since: float = 0.0,
    tail: int | None = None,
    request: str = "",
) -> Iterator[LogLine]:
    """The lines of a log, as ``Adapter.logs`` gives them."""

    def is_wanted(line: LogLine) -> bool:
        return line.ts > since and (not request or line.request == request)

    old = list(_lines(_set_aside(path)))
    file = path.open(encoding="utf-8") if path.exists() else None
    now = list(_parse(file)) if file else []
    yield from deque(filter(is_wanted, (*old, *now)), maxlen=tail)
    while follow:
        yield from filter(is_wanted, _parse(file) if file else ())
        if _replaced(path, file):
            if file:
                file.close()
            file = path.open(encoding="utf-8")
        else:
            time.sleep(POLL)
    if file:
        file.close()


def _set_aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _lines(path: Path) -> Iterator[LogLine]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from _parse(file)


def _parse(file: TextIO) -> Iterator[LogLine]:
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            # Still being written; read it again when it is whole.
            file.seek(place)
            return
        try:
            yield LogLine(**json.loads(line))
        except (ValueError, TypeError):
            continue  # torn by a kill of the platform


def _replaced(path: Path, file: TextIO | None) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return file is None or os.fstat(file.fileno()).st_ino != found.st_ino
