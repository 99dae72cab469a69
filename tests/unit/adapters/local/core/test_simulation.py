"""Every profile under arbitrary arrivals, failures and starts: none lost, none twice, none hung."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.adapters.local.core.constants import profile_names
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.core.rules import PoolRules
from bentofn.adapters.local.core.simulation import Result, Simulation, World
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.manifest import ServiceContract

LONG = 2 * 86400.0
ANSWERS = {200, 502, 503}


def rules_of(name: str, **settings: int) -> PoolRules:
    given_ = FunctionSettings(**settings)  # type: ignore[arg-type]
    return load_profile(name).pool_rules(given_, ServiceContract("s", "service:S"))


def check(rules: PoolRules, arrivals: list[float], result: Result) -> None:
    ended = sorted(outcome.request for outcome in result.outcomes)
    assert ended == list(range(len(arrivals))), "a request was lost, or ended twice"
    assert result.most_instances <= rules.max_instances
    refused = {rules.overflow.status}
    for outcome in result.outcomes:
        assert outcome.status in ANSWERS | refused
        assert (outcome.begun is not None) or outcome.status != 200


arrival_times = st.lists(st.floats(0.0, 400.0), max_size=60).map(sorted)


@pytest.mark.parametrize("name", profile_names())
@given(
    arrivals=arrival_times,
    service=st.floats(0.001, 60.0),
    start=st.floats(0.01, 40.0),
    failing=st.sampled_from([0.0, 0.3, 1.0]),
    crashes=st.sampled_from([0.0, 0.3]),
    maximum=st.integers(1, 5),
    minimum=st.integers(0, 2),
    seed=st.integers(0, 9),
)
@settings(max_examples=25)
def test_every_request_is_answered_or_refused_once(
    name: str,
    arrivals: list[float],
    service: float,
    start: float,
    failing: float,
    crashes: float,
    maximum: int,
    minimum: int,
    seed: int,
) -> None:
    # What never starts is tried again for ever where it is kept without requests.
    kept = 0 if failing == 1.0 else min(minimum, maximum)
    rules = rules_of(name, max_instances=maximum, min_instances=kept)
    world = World(
        service=lambda r: r.uniform(0.0, service),
        start=lambda r: r.uniform(0.0, start),
        failing_starts=failing,
        crashes=crashes,
    )
    simulation = Simulation(rules, world, seed)
    result = simulation.run(arrivals, until=LONG)
    check(rules, arrivals, result)
    if not failing:
        assert len(simulation.pool.instances) == rules.min_instances


@pytest.mark.parametrize("name", profile_names())
def test_ten_thousand_requests_in_one_second_at_zero(name: str) -> None:
    draw = random.Random(1)
    arrivals = sorted(draw.random() for _ in range(10_000))
    rules = rules_of(name)
    world = World(service=lambda r: r.expovariate(20.0), start=lambda r: r.uniform(0.5, 2.0))
    simulation = Simulation(rules, world)
    result = simulation.run(arrivals, until=LONG)
    check(rules, arrivals, result)
    statuses = result.statuses
    if name == "lambda":
        # 1000 environments at once, and 100 more each second; a request that finds none is refused.
        assert result.most_instances == rules.max_instances
        assert statuses[429] == 10_000 - statuses[200] > 0
    elif name == "sagemaker-inference-components":
        assert statuses == {400: 10_000}
    elif name in ("plain", "modal"):
        assert 10_000 - statuses[200] == statuses[rules.overflow.status] > 0
    elif name == "cloud-run":
        assert statuses[200] == 10_000
    assert not simulation.pool.instances or rules.min_instances


def test_the_same_seed_gives_the_same_result() -> None:
    world = World(
        service=lambda r: r.expovariate(2.0),
        start=lambda r: r.uniform(0.1, 3.0),
        failing_starts=0.2,
        crashes=0.1,
    )
    arrivals = [n / 7 for n in range(500)]

    def once(seed: int) -> Result:
        return Simulation(rules_of("cloud-run"), world, seed).run(arrivals, until=LONG)

    assert once(3) == once(3)
    assert once(3) != once(4)


def test_cloud_run_refuses_what_waits_for_longer_than_its_patience() -> None:
    # One instance, one request a time, 4 s each; starts take 1 s: 10 s are waited, then it is 429.
    rules = replace(rules_of("cloud-run", max_instances=1, concurrency=1))
    world = World(service=lambda r: 4.0, start=lambda r: 1.0)
    result = Simulation(rules, world).run([0.0, 0.0, 0.0, 0.0, 0.0], until=LONG)
    answered = [outcome for outcome in result.outcomes if outcome.status == 200]
    refused = [outcome for outcome in result.outcomes if outcome.status == 429]
    assert [outcome.begun for outcome in answered] == [1.0, 5.0, 9.0]
    assert [outcome.ended for outcome in refused] == [10.0, 10.0]


def test_knative_goes_to_zero_after_the_stable_window_and_what_the_activator_needs() -> None:
    rules = rules_of("knative")
    world = World(service=lambda r: 0.05, start=lambda r: 1.0)
    simulation = Simulation(rules, world)
    arrivals = [n * 0.1 for n in range(300)]
    result = simulation.run(arrivals, until=LONG)
    assert result.statuses == {200: 300}
    assert result.starts == 1
    # Nothing comes after 30 s: the reference says roughly 60 to 90 s more.
    assert 30 + 60 <= result.ended <= 30 + 95


@pytest.mark.parametrize("name", profile_names())
def test_what_never_starts_is_not_started_for_ever(name: str) -> None:
    world = World(service=lambda r: 1.0, start=lambda r: 0.01, failing_starts=1.0)
    simulation = Simulation(rules_of(name), world)
    result = simulation.run([10.0], until=LONG)
    assert len(result.outcomes) == 1
    assert result.starts < 300
    assert result.ended < LONG
    assert not simulation.pool.instances


def test_runpod_adds_a_worker_for_each_four_seconds_of_waiting() -> None:
    rules = rules_of("runpod")
    world = World(service=lambda r: 100.0, start=lambda r: 1.0)
    result = Simulation(rules, world).run([0.0] * 6, until=LONG)
    assert [outcome.begun for outcome in result.outcomes][:3] == [1.0, 5.0, 9.0]


def test_sagemaker_components_refuse_until_the_alarm_has_brought_one() -> None:
    rules = rules_of("sagemaker-inference-components")
    world = World(service=lambda r: 0.1, start=lambda r: 120.0)
    arrivals = [float(n) for n in range(0, 400, 5)]
    result = Simulation(rules, world).run(arrivals, until=LONG)
    first = min(o.arrived for o in result.outcomes if o.status == 200)
    assert all((o.status == 400) == (o.arrived < first) for o in result.outcomes)
    assert 120.0 < first <= 60.0 + 120.0 + 5.0


def test_what_a_day_costs() -> None:
    profile = load_profile("lambda")
    settings_ = FunctionSettings(memory=1024)
    rules = profile.pool_rules(settings_, ServiceContract("s", "service:S"))
    meter = profile.price.rule.meter(profile.size(settings_))
    world = World(service=lambda r: 0.1, start=lambda r: 0.0)
    result = Simulation(rules, world, meter=meter).run([n * 10.0 for n in range(8640)], until=LONG)
    assert result.cost == pytest.approx(8640 * (2e-7 + 0.1 * 1.66667e-5))
