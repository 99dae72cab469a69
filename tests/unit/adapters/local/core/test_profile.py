from __future__ import annotations

import pytest

from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import APIContract

PLAIN = load_profile("plain")


def test_an_instance_takes_a_whole_batch() -> None:
    large = APIContract("a", "/a", {}, {}, batchable=True, max_batch_size=500)
    small = APIContract("b", "/b", {}, {}, batchable=True, max_batch_size=4)
    assert PLAIN.pool_rules(FunctionSettings(), [large, small]).concurrency == 500
    assert PLAIN.pool_rules(FunctionSettings(), [small]).concurrency == PLAIN.concurrency
    assert PLAIN.pool_rules(FunctionSettings(concurrency=2), [large]).concurrency == 2


def test_limits_of_the_spec() -> None:
    rules = PLAIN.pool_rules(FunctionSettings(min_instances=9), [])
    assert (rules.min_instances, rules.max_instances) == (9, 9)
    assert PLAIN.pool_rules(FunctionSettings(reserved_concurrency=0), []).max_instances == 0
    assert PLAIN.pool_rules(FunctionSettings(idle_timeout=3.0), []).idle_timeout == 3.0


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="known: plain"):
        load_profile("moon")
