"""The formulas held against the numbers of Knative's own tests.

Source: https://github.com/knative/serving/blob/98e5ef90aa70/pkg/autoscaler/scaling/autoscaler_test.go
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from bentofn.adapters.local.core.autoscaling.kpa_decider import KpaDecider, KpaRules

# What those tests run with: not the defaults of a cluster.
RULES = KpaRules(
    target_utilization=0.75,
    target_default=100.0,
    target_burst_capacity=100.0,
    stable_window=60.0,
    panic_window_share=0.1,
    panic_threshold=2.0,
    max_scale_up_rate=10.0,
    max_scale_down_rate=10.0,
    scale_to_zero_grace=30.0,
    pod_retention=0.0,
    activation_timeout=610.0,
    scale_down_delay=0.0,
    activation_scale=1,
    activator_capacity=150.0,
    tick=2.0,
)


def decider(target: float, burst: float, **changes: float) -> KpaDecider:
    rules = replace(RULES, target_burst_capacity=burst, **changes)  # type: ignore[arg-type]
    return KpaDecider(rules, target, target / RULES.target_utilization)


def excess(target: float, burst: float, panic: float, ready: int) -> int:
    return math.floor(target / RULES.target_utilization * ready - burst - panic)


@dataclass(frozen=True)
class Row:
    label: str
    target: float
    burst: float
    stable: float
    panic: float
    ready: int
    desired: int
    excess: int | None = None
    rules: tuple[tuple[str, float], ...] = ()
    reachable: bool = True
    panicking: bool = False


TABLE = [
    Row("no requests", 10, 100, 0, 0, 1, 0),
    Row("a burst without limit keeps the activator", 181, -1, 21, 26, 1, 1, -1),
    Row("no burst takes the activator away", 10, 0, 50, 49, 1, 5, 0),
    Row("to five", 10, 100, 50, 50, 1, 5),
    Row("in a panic the stable window is larger", 1, 100, 50, 30, 5, 50, panicking=True),
    Row("in a panic the panic window is larger", 1, 100, 20, 30, 5, 30, panicking=True),
    Row("five are five", 10, 100, 50, 50, 5, 5),
    Row("one more although the rate is small", 1, 1982, 3, 3.1, 2, 3, None,
        (("max_scale_up_rate", 1.1),)),
    Row("slowly down", 10, 1982, 1, 1, 100, 90, None, (("max_scale_down_rate", 1.1),)),
    Row("at once down where nothing comes", 10, 1982, 1, 1, 100, 1, None,
        (("max_scale_down_rate", 1.1),), reachable=False),
    Row("a panic doubles", 10, 84, 50, 100, 1, 10),
    Row("no ready one counts as one", 10, 81, 1000, 888, 0, 10),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.label)
def test_the_table(row: Row) -> None:
    each = decider(row.target, row.burst, **dict(row.rules))
    if row.panicking:
        each.panic_since, each.most_in_panic = -5.0, 5
    decision = each.decide(0.0, row.ready, row.stable, row.panic, reachable=row.reachable)
    assert decision.desired == row.desired
    expected = row.excess
    if expected is None:
        expected = excess(row.target, row.burst, row.panic, row.ready)
    # Theirs allows for one too, for the rounding of floats.
    assert abs(decision.excess_burst_capacity - expected) <= 1


# Steps of one autoscaler: seconds, ready, stable, panic, and what is wanted then.
SEQUENCES = {
    "stable, then more": (10, 101, [(0, 1, 50, 10, 5), (0, 1, 100, 10, 10)]),
    "stable, then less": (10, 98, [(0, 8, 100, 100, 10), (0, 8, 50, 50, 5)]),
    "no more traffic": (10, 75, [(0, 1, 1, 0, 1), (0, 1, 0, 0, 0)]),
    "at most ten times more": (10, 61, [(0, 1, 1000, 1001, 10), (0, 10, 1000, 1001, 100)]),
    "at most ten times less": (10, 61, [(0, 100, 1, 1, 10), (0, 10, 1, 1, 1)]),
    "a panic, and its end": (
        10,
        93,
        [
            (0, 1, 100, 100, 10),
            (0, 10, 100, 1000, 100),
            (30, 10, 1, 1, 100),
            (61, 10, 1, 1, 1),
        ],
    ),
    "a panic that grows and settles": (
        1,
        101,
        [
            (0, 1, 6, 6, 6),
            (0, 6, 36, 36, 36),
            (1, 36, 216, 216, 216),
            (1, 216, 1296, 1296, 1296),
            (2, 1296, 1296, 1296, 1296),
        ],
    ),
    "a panic ends after a slow increase": (
        1,
        98,
        [(0, 10, 11, 25, 25), (30, 40, 30, 41, 41), (62, 55, 50, 56, 50)],
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_sequences(name: str) -> None:
    target, burst, steps = SEQUENCES[name]
    each = decider(target, burst)
    for at, ready, stable, panic, desired in steps:
        decision = each.decide(float(at), ready, stable, panic)
        assert decision.desired == desired
        assert abs(decision.excess_burst_capacity - excess(target, burst, panic, ready)) <= 1


def test_a_panic_is_extended_while_it_surges() -> None:
    each = decider(1, 98)
    assert each.decide(0.0, 10, 11, 25).desired == 25
    assert each.panic_since == 0.0
    each.decide(30.0, 40, 30, 41)
    assert each.panic_since == 0.0
    assert each.decide(30.0, 40, 30, 80).desired == 80
    assert each.panic_since == 30.0


def test_what_has_more_than_one_begins_in_a_panic() -> None:
    assert KpaDecider(RULES, 100, 120, ready=1).panic_since is None
    begun = KpaDecider(RULES, 100, 120, ready=2, now=5.0)
    assert (begun.panic_since, begun.most_in_panic) == (5.0, 2)


def test_the_activation_scale_lifts_what_is_not_zero() -> None:
    each = decider(10, 75, activation_scale=2)
    assert each.decide(0.0, 1, 0, 0).desired == 0
    assert each.decide(0.0, 1, 1, 0).desired == 2


def delayed() -> KpaDecider:
    rules = replace(RULES, panic_threshold=100.0, scale_down_delay=300.0)
    return KpaDecider(rules, 10, 10 / 0.75)


def test_less_is_delayed() -> None:
    each = delayed()
    steps = [(2, 40, 4), (300, 0, 4), (302, 0, 0), (540, 40, 4), (600, 30, 4), (660, 0, 4)]
    for at, load, desired in [*steps, (840, 0, 3), (900, 0, 0)]:
        assert each.decide(float(at), 1, load, load).desired == desired


def test_what_is_not_reachable_is_not_delayed() -> None:
    each = delayed()
    assert each.decide(2.0, 1, 40, 40).desired == 4
    assert each.decide(60.0, 1, 0, 0).desired == 4
    assert each.decide(62.0, 1, 0, 0, reachable=False).desired == 0


@pytest.mark.parametrize(
    ("burst", "ready", "activators"), [(0.0, 500, 2), (200.0, 1, 3), (211.0, 10, 4), (-1.0, 0, 2)]
)
def test_activators_cover_the_capacity_and_the_burst(
    burst: float, ready: int, activators: int
) -> None:
    rules = replace(RULES, target_burst_capacity=burst, activator_capacity=100.0)
    assert KpaDecider(rules, 7.0, 10.0).activators(ready) == activators
