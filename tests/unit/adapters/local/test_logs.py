from __future__ import annotations

import io
import itertools
import json
import logging
import threading
from pathlib import Path

import pytest

from bentofn.adapters.local.logs import LogWriter, log_path, read_logs, remove_logs
from bentofn.packager.lines import LineSplitter
from bentofn.runtime.context import Context, current_context
from bentofn.runtime.request_logs import MarkedOutput


def test_lines_are_read_back_in_order(tmp_path: Path) -> None:
    path = log_path(tmp_path / "logs", "echo")
    writer = LogWriter(path)
    for line in ("one", 'quo"te', "ümlaut \ud800", ""):
        writer.write("i1", "stdout", line)
    found = list(read_logs(path))
    assert [line.line for line in found] == ["one", 'quo"te', "ümlaut \ud800", ""]
    assert [line.line for line in read_logs(path, tail=2)] == [found[2].line, ""]
    assert [line.line for line in read_logs(path, since=found[0].ts)] == [
        line.line for line in found if line.ts > found[0].ts
    ]


def test_a_function_that_wrote_nothing_has_no_lines(tmp_path: Path) -> None:
    assert list(read_logs(log_path(tmp_path, "echo"))) == []


def test_a_log_is_bounded_and_keeps_its_latest_lines(tmp_path: Path) -> None:
    path = log_path(tmp_path, "echo")
    writer = LogWriter(path, max_bytes=1000)
    for number in range(200):
        writer.write("i1", "stdout", str(number))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2500
    assert [line.line for line in read_logs(path)][-5:] == ["195", "196", "197", "198", "199"]
    writer.close()
    remove_logs(tmp_path, "echo")
    assert list(tmp_path.iterdir()) == []


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = log_path(tmp_path, "echo")
    path.write_text('{"ts": 1.0, "inst\n')
    LogWriter(path).write("i1", "stdout", "whole")
    assert [line.line for line in read_logs(path)] == ["whole"]


def test_following_sees_lines_over_a_rotation(tmp_path: Path) -> None:
    path = log_path(tmp_path, "echo")
    writer = LogWriter(path, max_bytes=500)
    writer.write("i1", "stdout", "0")
    lines = read_logs(path, follow=True)
    assert next(lines).line == "0"

    def write() -> None:
        for number in range(1, 8):
            writer.write("i1", "stdout", str(number))

    thread = threading.Thread(target=write)
    thread.start()
    assert [line.line for line in itertools.islice(lines, 7)] == [str(n) for n in range(1, 8)]
    thread.join()


def test_lines_are_found_by_the_request_that_wrote_them(tmp_path: Path) -> None:
    path = log_path(tmp_path, "a")
    log = LogWriter(path)
    log.write("i1", "stdout", "\x1er1\x1ehello")
    log.write("i1", "stdout", "nobody's")
    log.write("i1", "stdout", "\x1er2\x1ehello again")
    log.write("i1", "platform", "REPORT", request="r1")
    log.write("i1", "stdout", "\x1ebroken mark")
    log.close()
    assert [(line.line, line.request) for line in read_logs(path, request="r1")] == [
        ("hello", "r1"),
        ("REPORT", "r1"),
    ]
    assert [line.line for line in read_logs(path, tail=3)] == [
        "hello again",
        "REPORT",
        "\x1ebroken mark",
    ]


def test_what_a_service_logs_as_json_stays_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AsJson(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps({"level": record.levelname, "message": record.getMessage()})

    monkeypatch.setenv("BENTOFN_INSTANCE", "i1")
    raw = io.BytesIO()
    handler = logging.StreamHandler(MarkedOutput(io.TextIOWrapper(raw, write_through=True)))
    handler.setFormatter(AsJson())
    token = current_context.set(Context({}, b"", {}, "r1"))
    try:
        for message in ('two\nlines of "text"', "\x1enot a mark\x1e"):
            handler.emit(logging.makeLogRecord({"levelname": "INFO", "msg": message}))
    finally:
        current_context.reset(token)
    log = LogWriter(log_path(tmp_path, "a"))
    for line in LineSplitter().feed(raw.getvalue()):
        log.write("i1", "stdout", line)
    log.close()
    found = [(json.loads(each.line), each.request) for each in read_logs(log_path(tmp_path, "a"))]
    assert found == [
        ({"level": "INFO", "message": 'two\nlines of "text"'}, "r1"),
        ({"level": "INFO", "message": "\x1enot a mark\x1e"}, "r1"),
    ]


def test_a_log_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = log_path(tmp_path, "a")
    path.write_text('{"ts": 1.0, "instance": "i", "stream": "stdout", "line": "old"}\n')
    assert [(line.line, line.request) for line in read_logs(path)] == [("old", "")]


def test_a_log_is_its_owners(tmp_path: Path) -> None:
    path = log_path(tmp_path, "echo")
    writer = LogWriter(path)
    writer.write("i1", "stdout", "secret")
    assert path.stat().st_mode & 0o777 == 0o600
    writer.close()


def test_a_log_that_has_ended_keeps_no_line_until_it_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    writer = LogWriter(path)
    writer.write("i-1", "stdout", "first")
    writer.end()
    path.unlink()
    writer.write("i-1", "platform", "its exit, told late")
    assert not path.exists()
    writer.begin()
    writer.write("i-2", "stdout", "second")
    assert [line.line for line in read_logs(path)] == ["second"]
