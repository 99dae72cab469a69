from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.supervisor.reports import FAILED, READY, Report


@pytest.fixture(scope="module")
def pipe() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    yield reads, writes
    os.close(reads)
    os.close(writes)


@given(text=st.text(max_size=40))
def test_a_report_is_one_write_and_comes_through(pipe: tuple[int, int], text: str) -> None:
    reads, writes = pipe
    for times in (1, 1000):
        sent = Report(FAILED, "Größe", text * times)
        sent.send(writes)
        data = os.read(reads, 1 << 16)
        assert len(data) <= select.PIPE_BUF
        assert data.count(b"\n") == 1
        told = Report.read(data.decode().removesuffix("\n"))
        assert told is not None
        assert told.service == "Größe"
        assert sent.text.startswith(told.text)
        assert told.text == sent.text or len(data) > select.PIPE_BUF // 3


@pytest.mark.parametrize(
    "line", ["", "Traceback", '{"kind": "ready"', "[]", "1", '{"kind": "ready"}', "null"]
)
def test_what_is_no_report_is_none(line: str) -> None:
    assert Report.read(line) is None
    assert Report.read('{"kind": "ready", "service": "A", "text": ""}') == Report(READY, "A")
