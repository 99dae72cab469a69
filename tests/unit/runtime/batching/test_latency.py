"""What a batch of some size is expected to take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.batching.latency import LatencyModel

OBSERVATIONS = st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1e4)), max_size=60)


def trained(*observations: tuple[int, float], times: int = 20) -> LatencyModel:
    model = LatencyModel()
    for _ in range(times):
        for observation in observations:
            model.observe(*observation)
    return model


def test_it_learns_a_line() -> None:
    model = trained((1, 0.011), (10, 0.02), (50, 0.06))
    assert model.predict(30) == pytest.approx(0.04, rel=0.2)
    assert model.largest_within(0.06) == pytest.approx(50, abs=3)
    assert model.largest_within(0.005) == 0
    assert model.largest == 50


def test_what_is_not_known_costs_nothing() -> None:
    model = LatencyModel()
    assert not model.known
    assert model.predict(1000) == 0
    assert model.largest_within(0.001) > 1e9


def test_the_first_batch_teaches_nothing() -> None:
    model = LatencyModel()
    model.observe(1, 60.0)
    assert not model.known
    model.observe(1, 0.5)
    assert model.predict(1) == pytest.approx(0.5)


def test_one_size_tells_the_bounds_of_the_others() -> None:
    model = trained((10, 0.1))
    assert model.predict(5) == pytest.approx(0.1)
    assert model.predict(20) == pytest.approx(0.2)
    assert model.largest_within(0.3) == pytest.approx(30, abs=1)
    assert model.largest_within(0.09) == 0


def test_one_pause_is_not_a_new_speed_and_many_are() -> None:
    model = trained((1, 0.1), (2, 0.11))
    model.observe(2, 30.0)
    assert model.predict(2) < 0.3
    for _ in range(100):
        model.observe(2, 1.0)
    assert model.predict(2) == pytest.approx(1.0, rel=0.3)


def test_times_that_fall_with_the_size_do_not_go_below_zero() -> None:
    model = trained((1, 1.0), (10, 0.1))
    assert model.predict(1000) > 0
    assert model.largest_within(10.0) > 1e9


@given(OBSERVATIONS, st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 1e5))
def test_predictions_rise_and_can_be_read_backwards(
    observations: list[tuple[int, float]], small: int, more: int, seconds: float
) -> None:
    model = LatencyModel()
    for observation in observations:
        model.observe(*observation)
    assert 0 <= model.predict(small) <= model.predict(small + more) * (1 + 1e-9) + 1e-9
    size = model.largest_within(seconds)
    if 0 < size < 1e9:
        assert model.predict(size) <= seconds * (1 + 1e-6) + 1e-6
        assert model.predict(size + 2) >= seconds * (1 - 1e-6) - 1e-6
