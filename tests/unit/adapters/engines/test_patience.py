from __future__ import annotations

from bentofn.adapters.local.engines.restored.patience import RETRY_AFTER, Patience


def test_what_fails_is_tried_later_each_time_and_then_given_up() -> None:
    patience, now = Patience(), 0.0
    for wait in RETRY_AFTER:
        assert patience.allows(now)
        patience.failed(now, lasting=False)
        assert not patience.allows(now + wait / 2)
        now += wait
    assert patience.allows(now)
    patience.failed(now, lasting=False)
    assert not patience.allows(now + 1e9)


def test_what_cannot_be_is_not_tried_again() -> None:
    patience = Patience()
    patience.failed(0.0, lasting=True)
    assert not patience.allows(1e9)
