from __future__ import annotations

from bentofn.adapters.local.engines.restored.patience import RETRY_AFTER, Patience


def test_what_fails_is_tried_later_each_time_and_then_given_up() -> None:
    patience, now = Patience(), 0.0
    for wait in RETRY_AFTER:
        assert patience.allows(now)
        assert not patience.failed(now, lasting=False)
        assert not patience.allows(now + wait / 2)
        now += wait
    assert patience.allows(now)
    assert patience.failed(now, lasting=False), "it is given up now"
    assert not patience.failed(now, lasting=False), "it is given up once"
    assert not patience.allows(now + 1e9)


def test_what_fails_several_times_at_once_failed_once() -> None:
    patience = Patience()
    for _ in range(len(RETRY_AFTER) + 1):
        patience.failed(0.0, lasting=False, reason="no room")
    assert patience.allows(RETRY_AFTER[0])
    assert (patience.reason, patience.exhausted) == ("no room", False)


def test_what_succeeds_starts_over() -> None:
    patience = Patience()
    patience.failed(0.0, lasting=False)
    patience.succeeded()
    assert patience == Patience()


def test_what_cannot_be_is_not_tried_again() -> None:
    patience = Patience()
    assert patience.failed(0.0, lasting=True)
    assert not patience.allows(1e9)
