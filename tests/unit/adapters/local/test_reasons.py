from __future__ import annotations

import asyncio

import pytest

from bentofn.adapters.local.reasons import how_it_ended, why_not_started
from bentofn.runtime.errors import UserError


@pytest.mark.parametrize(
    ("status", "verdict", "sentence"),
    [
        (None, "", "it is gone"),
        (3, "", "exited with status 3"),
        (-9, "it took more than 1 GB", "killed by signal 9: it took more than 1 GB"),
    ],
)
def test_an_end_is_told_with_its_reason(status: int | None, verdict: str, sentence: str) -> None:
    assert how_it_ended(status, verdict) == sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (asyncio.CancelledError(), "the start was called off"),
        (UserError("There is no model."), "There is no model."),
        (OSError("no room"), "The platform could not start an instance: no room."),
    ],
)
def test_a_start_that_failed_is_told_without_a_traceback(
    error: BaseException, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why_not_started(error) == sentence
    assert capsys.readouterr().err == ""


def test_what_no_start_should_raise_is_printed_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert "could not start an instance: 'x'" in why_not_started(KeyError("x"))
    assert "KeyError" in capsys.readouterr().err
