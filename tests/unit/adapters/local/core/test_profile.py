from __future__ import annotations

from typing import Any

import pytest

from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import APIContract, ServiceContract

PLAIN = load_profile("plain")


def contract(*apis: APIContract, **config: Any) -> ServiceContract:
    return ServiceContract("s", "service:S", config=config, apis=apis)


def test_an_instance_takes_a_whole_batch() -> None:
    large = APIContract("a", "/a", {}, {}, batchable=True, max_batch_size=500)
    small = APIContract("b", "/b", {}, {}, batchable=True, max_batch_size=4)
    assert PLAIN.pool_rules(FunctionSettings(), contract(large, small)).concurrency == 500
    assert PLAIN.pool_rules(FunctionSettings(), contract(small)).concurrency == PLAIN.concurrency
    assert PLAIN.pool_rules(FunctionSettings(concurrency=2), contract(large)).concurrency == 2


def test_a_queue_in_front_gives_an_instance_what_the_service_says() -> None:
    queued = contract(traffic={"external_queue": True, "concurrency": 3})
    assert PLAIN.pool_rules(FunctionSettings(), queued).concurrency == 3
    aimed_at = contract(traffic={"concurrency": 3})
    assert PLAIN.pool_rules(FunctionSettings(), aimed_at).concurrency == PLAIN.concurrency


def test_limits_of_the_spec() -> None:
    rules = PLAIN.pool_rules(FunctionSettings(min_instances=9), contract())
    assert (rules.min_instances, rules.max_instances) == (9, 9)
    reserved = FunctionSettings(reserved_concurrency=0)
    assert PLAIN.pool_rules(reserved, contract()).max_instances == 0
    assert PLAIN.pool_rules(FunctionSettings(idle_timeout=3.0), contract()).idle_timeout == 3.0


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="known: plain"):
        load_profile("moon")
