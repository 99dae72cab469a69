from __future__ import annotations

from bentofn.adapters.local.engines.recent import Recent


def test_the_least_recently_asked_for_makes_room() -> None:
    recent: Recent[str, list[int]] = Recent(list, most=2)
    recent["a"].append(1)
    recent["b"].append(2)
    assert recent["a"] == [1]
    assert recent["c"] == []
    assert recent["a"] == [1]
    assert recent["b"] == []
