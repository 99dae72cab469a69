"""EventBridge's expressions as Modal's."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.core.schedules.expressions import parse
from bentofn.adapters.modal.schedules import NotOnModal, Timing, timing
from bentofn.adapters.schedule import Schedule


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", Timing(seconds=60)),
        ("rate(2 days)", Timing(seconds=172_800)),
        ("cron(0 12 * * ? *)", Timing("0 12 * * *")),
        ("cron(0/15 * ? * 1 *)", Timing("0,15,30,45 * * * 0")),
        ("cron(0 8 ? JAN-MAR 2-6 *)", Timing("0 8 * 1,2,3 1,2,3,4,5")),
        ("cron(0 8 ? * MON,WED,7 *)", Timing("0 8 * * 1,3,6")),
        ("cron(0 22-1/2 ? * FRI-MON *)", Timing("0 0,22 * * 0,1,5,6")),
    ],
)
def test_an_expression(expression: str, expected: Timing) -> None:
    assert timing(Schedule("s", expression)) == expected


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("at(2030-01-01T00:00:00)", "once"),
        ("cron(0 12 L * ? *)", "no L"),
        ("cron(0 12 ? * 6#3 *)", "#"),
        ("cron(0 12 15W * ? *)", "W"),
        ("cron(0 12 * * ? 2030)", "no year"),
    ],
)
def test_what_modal_has_no_word_for(expression: str, why: str) -> None:
    with pytest.raises(NotOnModal, match=why):
        timing(Schedule("s", expression))


def test_first_and_last_days_are_refused() -> None:
    with pytest.raises(NotOnModal, match="first and last day"):
        timing(Schedule("s", "rate(1 hour)", end=2e9))


@given(st.integers(1, 7), st.integers(0, 59), st.integers(0, 23))
def test_the_day_of_the_week_is_the_same_day(day: int, minute: int, hour: int) -> None:
    expression = f"cron({minute} {hour} ? * {day} *)"
    following = parse(expression).after(1_900_000_000.0, 0)
    assert following is not None
    local = datetime.fromtimestamp(following, timezone.utc)
    of_week = int(timing(Schedule("s", expression)).cron.split()[-1])
    assert of_week == local.isoweekday() % 7
