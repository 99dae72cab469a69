"""Windows held against the numbers of Knative's own tests.

Source: https://github.com/knative/serving/tree/98e5ef90aa70/pkg/autoscaler/aggregation
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.core.autoscaling.windows import Buckets, Level, Maximum


def test_the_average_of_a_window() -> None:
    window = Buckets(5.0)
    window.record(0.0, 1)
    assert window.average(0.0) == 1.0
    for second in range(1, 5):
        window.record(float(second), second + 1)
    assert window.average(4.0) == 15 / 5
    assert window.average(3.6) == 15 / 5  # who asks lags behind
    assert window.average(6.0) == (15 - 1 - 2) / 3
    assert window.average(10.0) == 0.0
    window.record(6.0, 91)
    assert window.average(6.0) == pytest.approx((15 - 1 - 2 + 91) / 5)
    window.record(66.0, 1984)
    assert window.average(66.0) == 1984.0
    window.record(63.0, 4)
    assert window.average(66.0) == (4 + 1984) / 4
    window.record(67.0, 5)
    assert window.average(67.0) == pytest.approx((4 + 1984 + 5) / 5)
    window.record(64.0, 10)
    for too_early in (61.0, 62.0):
        window.record(too_early, 10)
    assert window.average(67.0) == pytest.approx((4 + 10 + 1984 + 5) / 5)
    window.record(72.0, 10)
    assert window.average(72.0) == 10.0


def test_records_backwards_in_time_are_averaged_too() -> None:
    window = Buckets(5.0)
    for second in range(8, -1, -1):
        window.record(float(second), 5)
    assert window.average(5.0) == 5.0


MAXIMA = {
    "one": ([1], [1]),
    "up": ([1, 2], [1, 2]),
    "down": ([2, 1], [2, 2]),
    "up, down, up": ([1, 2, 1], [1, 2, 2]),
    "out of the window": ([5, 6, 5, 5, 5, 5, 5], [5, 6, 6, 6, 6, 6, 5]),
    "two tops": ([5, 6, 5, 7, 5, 5, 1], [5, 6, 6, 7, 7, 7, 7]),
    "one top": ([5, 8, 5, 7, 5, 5], [5, 8, 8, 8, 8, 8]),
    "a long one": (
        [5, 8, 5, 7, 5, 5, 1, 4, 4, 4, 4, 9, 3, 4, 2, 1, 0],
        [5, 8, 8, 8, 8, 8, 7, 7, 5, 5, 4, 9, 9, 9, 9, 9, 4],
    ),
}


@pytest.mark.parametrize("name", MAXIMA)
def test_the_maximum_of_a_window(name: str) -> None:
    values, expected = MAXIMA[name]
    window = Maximum(5.0, 1.0)
    assert [window.record(float(at), value) for at, value in enumerate(values)] == expected


def test_the_maximum_of_one_bucket_and_over_gaps() -> None:
    window = Maximum(5.0, 1.0)
    assert [window.record(1.0, value) for value in (7, 6, 5)] == [7, 7, 7]
    gaps = Maximum(5.0, 1.0)
    assert [gaps.record(at, value) for at, value in ((0, 6), (1, 5), (2, 2), (6, 1))] == [
        6,
        6,
        6,
        2,
    ]


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 9)), min_size=1, max_size=30))
def test_a_level_fills_the_buckets_with_its_area(steps: list[tuple[float, int]]) -> None:
    window = Buckets(1000.0)
    level = Level(window)
    now, area, before = 100.0, 0.0, 0
    level.change(0, now)
    for wait, value in steps:
        now += wait
        area += before * wait
        level.change(value, now)
        before = value
    end = float(int(now) + 1)
    level.advance(end)
    area += before * (end - now)
    assert window.average(end) * (end - 100.0) == pytest.approx(area, abs=1e-3)


def test_a_long_level_fills_the_window_and_no_level_records_nothing() -> None:
    window = Buckets(60.0)
    level = Level(window)
    level.change(7, 0.5)
    level.advance(1_000_000.5)
    assert window.average(1_000_000.5) == 7.0
    level.change(None, 1_000_001.0)
    level.advance(1_001_000.0)
    level.change(3, 1_001_000.0)
    assert window.average(1_001_000.0) == 0.0
    level.advance(1_001_001.0)
    assert window.average(1_001_000.0) == 3.0  # of the second that there was, not of a minute
