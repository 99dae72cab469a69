from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.load import MONTH, Load
from bentofn.runtime.errors import UserError


@pytest.mark.parametrize(
    ("text", "per_second", "duration"),
    [
        ("100/day,0.2s", 100 / 86400, 0.2),
        ("5/s,80ms", 5, 0.08),
        ("2M/month, 1 s", 2e6 / MONTH, 1),
        ("1.5k/hour", 1500 / 3600, 0.2),
    ],
)
def test_a_load_is_a_count_a_period_and_a_duration(
    text: str, per_second: float, duration: float
) -> None:
    assert Load.parse(text) == Load(pytest.approx(per_second), pytest.approx(duration))


@pytest.mark.parametrize("text", ["", "100", "100/fortnight", "-1/day", "100/day,fast", "a/day"])
def test_another_load_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"write it as 100/day,0\.2s"):
        Load.parse(text)


@given(st.text(max_size=20))
def test_any_text_is_a_load_or_refused(text: str) -> None:
    with contextlib.suppress(UserError):
        assert Load.parse(text).per_second >= 0


def test_instances_are_paid_from_nothing_to_all_of_the_month() -> None:
    assert Load(0).instance_seconds(60) == 0
    assert Load(1e-6, 1).instance_seconds(60) == pytest.approx(1e-6 * MONTH * 61, rel=1e-3)
    assert Load(10, 1).instance_seconds(60) == pytest.approx(10 * MONTH)
    assert Load(10, 1).instance_seconds(60, concurrency=5) == pytest.approx(2 * MONTH)
    assert Load(0).instance_seconds(60, least=2) == 2 * MONTH


@given(st.floats(0, 100), st.floats(0.001, 10), st.floats(0, 3600))
def test_more_requests_never_cost_fewer_instances(
    per_second: float, duration: float, idle: float
) -> None:
    few = Load(per_second, duration).instance_seconds(idle)
    assert few <= Load(per_second * 2, duration).instance_seconds(idle) + 1e-6
