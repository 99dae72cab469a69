from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.engines.restored.stock import CALM, Stock


def test_more_are_kept_while_starts_come_in_bursts_and_fewer_when_it_is_calm() -> None:
    stock = Stock(least=2, most=16)
    assert stock.wanted(0.0) == 2
    stock.taken(1, 1.0)
    assert stock.wanted(1.0) == 2
    for _ in range(5):
        stock.taken(0, 2.0)
    assert stock.wanted(2.0) == 16
    assert stock.wanted(2.0 + CALM) == 8
    assert stock.wanted(2.0 + 10 * CALM) == 2


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 100)), max_size=50))
def test_never_more_nor_fewer_than_allowed(takes: list[tuple[int, float]]) -> None:
    stock, now = Stock(least=1, most=8), 0.0
    for left, passed in takes:
        now += passed
        stock.taken(left, now)
        assert 1 <= stock.wanted(now) <= 8
