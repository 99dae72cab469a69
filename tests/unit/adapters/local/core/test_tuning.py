"""What a function sets of its backend's rules, and what the pool makes of it."""

from __future__ import annotations

import random

import pytest

from bentofn.adapters.local.core.conformity import problems
from bentofn.adapters.local.core.constants import profile_names
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.core.simulation import Result, Simulation, World
from bentofn.adapters.local.core.tuning import profile_of, tunable
from bentofn.adapters.settings import FunctionSettings
from bentofn.runtime.manifest import ServiceContract

CONTRACT = ServiceContract("s", "service:S")


def run(settings: FunctionSettings, requests: int = 8) -> Result:
    """Requests that come at once and take a while."""
    rules = profile_of(settings).pool_rules(settings, CONTRACT)
    world = World(service=lambda _: 30.0, start=lambda _: 1.0)
    return Simulation(rules, world).run([0.0] * requests, until=600.0)


def test_who_sets_nothing_has_the_profile_itself() -> None:
    other = {"runpod": {"scalerValue": 1.0}}
    assert profile_of(FunctionSettings(profile="modal", tuning=other)) is load_profile("modal")


def test_runpods_scaler_is_chosen_by_the_function() -> None:
    def with_scaler(**tuning: object) -> FunctionSettings:
        return FunctionSettings(profile="runpod", max_instances=9, tuning={"runpod": tuning})

    assert run(with_scaler(scalerType="REQUEST_COUNT", scalerValue=2)).most_instances == 4
    assert run(with_scaler(scalerType="REQUEST_COUNT", scalerValue=1)).most_instances == 8
    patient, hasty = with_scaler(scalerValue=40.0), with_scaler(scalerValue=0.5)
    assert run(patient).most_instances < run(hasty).most_instances


@pytest.mark.parametrize("profile", ["modal", "plain"])
def test_a_buffer_is_kept_beside_busy_instances(profile: str) -> None:
    usual = FunctionSettings(profile=profile, max_instances=20, concurrency=1)
    kept = FunctionSettings(profile=profile, max_instances=20, concurrency=1, buffer_instances=3)
    assert (run(usual).most_instances, run(kept).most_instances) == (8, 11)


def test_a_buffer_that_a_backend_does_not_keep_is_told() -> None:
    def told(profile: str) -> list[str]:
        settings = FunctionSettings(profile=profile, buffer_instances=2)
        return [each.kind for each in problems(profile_of(settings), settings, CONTRACT)]

    assert (told("modal"), told("plain"), told("knative")) == ([], [], ["ignored"])


def test_modals_window_has_bounds() -> None:
    modal = load_profile("modal")
    for seconds, kinds in ((1.0, ["refused"]), (2.0, []), (1200.0, []), (1201.0, ["refused"])):
        settings = FunctionSettings(idle_timeout=seconds)
        assert [each.kind for each in problems(modal, settings, CONTRACT)] == kinds


@pytest.mark.parametrize("name", profile_names())
def test_whatever_can_be_set_makes_a_profile_that_runs(name: str) -> None:
    for setting, constant in tunable(load_profile(name).constants).items():
        value = constant.choices[-1] if constant.choices else not constant.value
        if not constant.choices and not isinstance(constant.value, bool):
            value = constant.value + type(constant.value)(1)
        settings = FunctionSettings(profile=name, tuning={name: {setting: value}})
        tuned = profile_of(settings)
        assert tunable(tuned.constants)[setting].value == value
        assert tuned != load_profile(name)
        rules = tuned.pool_rules(settings, CONTRACT)
        world = World(service=lambda _: 0.1, start=lambda _: 1.0)
        arrivals = sorted(random.Random(1).uniform(0.0, 60.0) for _ in range(50))
        result = Simulation(rules, world).run(arrivals, until=5_000.0)
        assert len(result.outcomes) == 50
