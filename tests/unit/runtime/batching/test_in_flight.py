"""How many batches run side by side, where that is learned."""

from __future__ import annotations

from collections.abc import Callable

from bentofn.runtime.batching.in_flight import InFlight

MOST = 6
LARGEST = 8


def after(limit: InFlight, seconds: Callable[[int, int], float], batches: int = 500) -> set[int]:
    """The limits at the end, where so many batches run as are allowed.

    ``seconds`` is what a batch of some items takes beside so many.
    """
    seen = set()
    for number in range(batches):
        beside = limit.limit
        items = LARGEST // 2
        limit.ended(items, seconds(items, beside), beside, LARGEST)
        if number >= batches - 100:
            seen.add(limit.limit)
    return seen


def test_a_given_number_stays() -> None:
    assert after(InFlight(3), lambda items, beside: beside * 1.0) == {3}


def test_batches_that_do_not_slow_each_other_run_side_by_side() -> None:
    # Now and then one runs alone, to know what that takes.
    assert after(InFlight(4, MOST), lambda items, beside: 0.1) == {1, MOST}


def test_batches_that_take_turns_are_joined() -> None:
    limits = after(InFlight(4, MOST), lambda items, beside: 0.1 * beside)
    assert limits <= {1, 2}


def test_a_callee_that_becomes_parallel_is_found_out() -> None:
    limit = InFlight(4, MOST)
    after(limit, lambda items, beside: 0.1 * beside)
    assert MOST in after(limit, lambda items, beside: 0.1, batches=2000)
