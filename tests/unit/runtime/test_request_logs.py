from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bentofn.runtime.context import Context, current_context
from bentofn.runtime.request_logs import MarkedOutput


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    monkeypatch.setenv("BENTOFN_INSTANCE", "v1-1")
    return io.BytesIO()


@pytest.fixture
def output(raw: io.BytesIO) -> MarkedOutput:
    return MarkedOutput(io.TextIOWrapper(raw, encoding="utf-8", write_through=True))


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    token = current_context.set(Context({}, b"", {}, request_id))
    try:
        yield
    finally:
        current_context.reset(token)


def test_lines_of_a_request_are_marked(output: MarkedOutput, raw: io.BytesIO) -> None:
    print("before", file=output)
    with answering("r1"):
        print("one", "line", file=output)
        print("two\nlines", file=output)
    print("after", file=output)
    mark = b"\x1er1\x1e"
    assert raw.getvalue().splitlines() == [
        b"before", mark + b"one line", mark + b"two", mark + b"lines", b"after",
    ]  # fmt: skip


def test_a_line_in_parts_is_marked_once(output: MarkedOutput, raw: io.BytesIO) -> None:
    with answering("r1"):
        for part in ("a", "", "b", "\n", "\n", "c\n"):
            output.write(part)
    assert raw.getvalue() == b"\x1er1\x1eab\n\n\x1er1\x1ec\n"


def test_log_handlers_that_were_made_before_mark_too(output: MarkedOutput, raw: io.BytesIO) -> None:
    handler = logging.StreamHandler(output)
    with answering("r2"):
        handler.emit(logging.makeLogRecord({"msg": "hello"}))
    assert raw.getvalue() == b"\x1er2\x1ehello\n"


def test_without_a_platform_nothing_is_marked(
    output: MarkedOutput, raw: io.BytesIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENTOFN_INSTANCE")
    with answering("r1"):
        assert output.write("plain\n") == 6
    assert raw.getvalue() == b"plain\n"


def test_it_is_an_output_like_any_other(output: MarkedOutput, raw: io.BytesIO) -> None:
    assert output.encoding == "utf-8"
    assert output.writable()
    output.buffer.write(b"bytes\n")
    output.flush()
    assert raw.getvalue() == b"bytes\n"


def test_threads_that_print_at_once_have_lines_of_their_own(
    output: MarkedOutput, raw: io.BytesIO
) -> None:
    begun, over = threading.Event(), threading.Event()

    def other() -> None:
        with answering("r2"):
            assert begun.wait(60)
            print("all of the other's", file=output)
            over.set()

    thread = threading.Thread(target=other)
    thread.start()
    with answering("r1"):
        output.write("the one's")
        begun.set()
        assert over.wait(60)
        output.write("\n")
        print("and more", file=output)
    thread.join()
    assert raw.getvalue().splitlines() == [
        b"\x1er1\x1ethe one's", b"\x1er2\x1eall of the other's", b"\x1er1\x1eand more",
    ]  # fmt: skip
