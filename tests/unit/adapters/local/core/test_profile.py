from __future__ import annotations

from typing import Any

import pytest

from bentofn.adapters.batching import Batching
from bentofn.adapters.local.core.billing import Size
from bentofn.adapters.local.core.constants import CERTAINTIES, profile_names
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
    usual = PLAIN.instance.concurrency
    assert PLAIN.pool_rules(FunctionSettings(), contract(large, small)).concurrency == 500
    assert PLAIN.pool_rules(FunctionSettings(), contract(small)).concurrency == usual
    assert PLAIN.pool_rules(FunctionSettings(concurrency=2), contract(large)).concurrency == 2


def test_an_instance_takes_the_batch_that_the_deployment_says() -> None:
    api = APIContract("a", "/a", {}, {}, batchable=True, max_batch_size=500)
    usual = PLAIN.instance.concurrency
    for said, expected in (
        (Batching(max_batch_size=900), 900),
        (Batching(max_batch_size=2), usual),
        (Batching(enabled=False), usual),
        (Batching(max_latency_ms=10), 500),
    ):
        settings = FunctionSettings(batching=said)
        assert PLAIN.pool_rules(settings, contract(api)).concurrency == expected


def test_a_queue_in_front_gives_an_instance_what_the_service_says() -> None:
    queued = contract(traffic={"external_queue": True, "concurrency": 3})
    assert PLAIN.pool_rules(FunctionSettings(), queued).concurrency == 3
    aimed_at = contract(traffic={"concurrency": 3})
    rules = PLAIN.pool_rules(FunctionSettings(), aimed_at)
    assert rules.concurrency == PLAIN.instance.concurrency


def test_limits_of_the_spec() -> None:
    rules = PLAIN.pool_rules(FunctionSettings(min_instances=9), contract())
    assert (rules.min_instances, rules.max_instances) == (9, 9)
    reserved = FunctionSettings(reserved_concurrency=0)
    assert PLAIN.pool_rules(reserved, contract()).max_instances == 0
    # Of the account's, which is counted for all functions together.
    assert load_profile("lambda").pool_rules(reserved, contract(), 16).max_instances == 16
    assert PLAIN.pool_rules(FunctionSettings(idle_timeout=3.0), contract()).idle_timeout == 3.0


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"known: cloud-run, .*plain"):
        load_profile("moon")


def test_the_plain_platform_is_as_it_was() -> None:
    rules = PLAIN.pool_rules(FunctionSettings(), contract(), machine_limit=16)
    assert (rules.concurrency, rules.max_instances, rules.idle_timeout) == (80, 4, 60.0)
    assert (rules.overflow.queue_limit, rules.overflow.status) == (1000, 503)
    assert PLAIN.limits.payload == 100 << 20


@pytest.mark.parametrize("name", profile_names())
def test_every_constant_says_how_sure_it_is_and_where_it_comes_from(name: str) -> None:
    profile = load_profile(name)
    assert set(profile.constants) == {
        *("instance", "scaling", "overflow", "timeouts", "limits", "price")
    }
    for constants in profile.constants.values():
        for constant in constants.values():
            assert constant.certainty in CERTAINTIES
            assert constant.source
            unsure = constant.certainty in ("own", "R")
            assert unsure or constant.source.startswith("https://"), constant


def test_lambda_has_one_request_an_environment_whatever_is_asked_for() -> None:
    batch = APIContract("a", "/a", {}, {}, batchable=True, max_batch_size=64)
    rules = load_profile("lambda").pool_rules(FunctionSettings(concurrency=8), contract(batch))
    assert (rules.concurrency, rules.max_instances) == (1, 1000)


def test_a_machine_is_asked_for_fewer_instances_unless_the_function_says_how_many() -> None:
    lambda_ = load_profile("lambda")
    assert lambda_.pool_rules(FunctionSettings(), contract(), 16).max_instances == 16
    asked = FunctionSettings(max_instances=200)
    assert lambda_.pool_rules(asked, contract(), 16).max_instances == 200


def test_what_an_instance_may_use_is_not_always_what_is_paid_for() -> None:
    modal, cloud_run = load_profile("modal"), load_profile("cloud-run")
    assert modal.size(FunctionSettings()) == Size(128, 0.125)
    assert modal.allowance(FunctionSettings()) == Size(0, 0.0)
    assert modal.allowance(FunctionSettings(memory=512, cpu=2.0)) == Size(512, 2.0)
    assert cloud_run.allowance(FunctionSettings()) == Size(512, 1.0)
    lambda_ = load_profile("lambda")
    assert lambda_.allowance(FunctionSettings()) == Size(1024, 1024 / 1769)
    assert lambda_.allowance(FunctionSettings(memory=1769)) == Size(1769, 1.0)


def test_cloud_run_takes_no_more_than_1000_requests_an_instance() -> None:
    rules = load_profile("cloud-run").pool_rules(FunctionSettings(concurrency=5000), contract())
    assert rules.concurrency == 1000
