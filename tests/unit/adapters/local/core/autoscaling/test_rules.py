"""The other rules of scaling, driven by hand."""

from __future__ import annotations

import math

import pytest

from bentofn.adapters.local.core.autoscaling.base import Autoscaler, Bounds, Metrics, Scale
from bentofn.adapters.local.core.autoscaling.concurrency import ConcurrencyRule
from bentofn.adapters.local.core.autoscaling.demand import DemandRule
from bentofn.adapters.local.core.autoscaling.environments import EnvironmentRule
from bentofn.adapters.local.core.autoscaling.queued import QueueDelayRule, RequestCountRule
from bentofn.adapters.local.core.profile import load_profile


def bounds(concurrency: int = 1, maximum: int = 1000) -> Bounds:
    return Bounds(concurrency, None, 0, maximum)


def profiled(name: str, maximum: int = 1000) -> Autoscaler:
    return load_profile(name).scaling.rule.autoscaler(bounds(maximum=maximum))


def ask(autoscaler: Autoscaler, now: float, **metrics: float) -> int:
    autoscaler.observe(Metrics(**metrics), now)  # type: ignore[arg-type]
    return autoscaler.desired(now).least


class Rig:
    """Plays a pool whose instances serve at once, and wakes the autoscaler when it asks for it."""

    def __init__(self, autoscaler: Autoscaler) -> None:
        self.autoscaler = autoscaler
        self.now = 0.0
        self.demand = 0
        self.instances = 0

    def load(self, demand: int) -> int:
        """So many requests from now on; returns the instances."""
        self.demand = demand
        return self.step()

    def step(self) -> int:
        for _ in range(2):  # the second time it sees what it asked for
            running = self.demand if self.instances else 0
            metrics = Metrics(self.demand - running, running, self.instances)
            self.autoscaler.observe(metrics, self.now)
            scale = self.autoscaler.desired(self.now)
            self.instances = int(max(scale.least, min(self.instances, scale.most)))
        return self.instances

    def after(self, seconds: float) -> int:
        """Let time pass; returns the instances."""
        until = self.now + seconds
        while (wake := self.autoscaler.wake(self.now)) <= until:
            assert wake > self.now
            self.now = wake
            self.step()
        self.now = until
        return self.step()


def test_demand_is_filled_to_a_share_and_has_a_buffer_while_there_is_any() -> None:
    autoscaler = DemandRule(target_share=0.5, buffer=2).autoscaler(bounds(concurrency=10))
    assert ask(autoscaler, 0.0, queued=11) == 3 + 2
    assert ask(autoscaler, 1.0) == 0
    assert autoscaler.desired(1.0) == Scale(0, math.inf)


def test_lambda_starts_a_thousand_at_once_and_a_hundred_a_second() -> None:
    autoscaler = profiled("lambda", maximum=10_000)
    assert ask(autoscaler, 0.0, queued=5000) == 1000
    assert ask(autoscaler, 0.0, queued=5000, starting=1000, started=1000) == 1000
    assert autoscaler.wake(0.0) == pytest.approx(0.01)
    assert ask(autoscaler, 1.0, queued=5000, starting=1000, started=1000) == 1100
    assert ask(autoscaler, 3.0, queued=5000, starting=1100, started=1100) == 1300
    # What is not used is not saved up.
    assert ask(autoscaler, 500.0, started=1100) == 0
    assert ask(autoscaler, 500.0, queued=5000, started=1100) == 1000
    assert autoscaler.wake(500.0) > 500.0


def test_an_environment_has_one_request() -> None:
    autoscaler = EnvironmentRule(burst=1000, period=10.0).autoscaler(bounds())
    assert ask(autoscaler, 0.0, queued=2, running=3, ready=3, started=3) == 5
    assert autoscaler.wake(0.0) == math.inf


def test_cloud_run_adds_for_a_minute_over_its_target() -> None:
    rule = ConcurrencyRule(target_share=0.6, window=60.0, interval=5.0)
    rig = Rig(rule.autoscaler(bounds(concurrency=10)))
    assert rig.load(9) == 1  # one has room for ten
    assert rig.after(4.0) == 1
    assert rig.after(2.0) == 2  # but is filled over 60 percent
    assert rig.load(61) == 7
    assert rig.after(60.0) == 11
    assert rig.load(0) == 11  # they go by being idle


def test_the_first_worker_is_started_at_once_and_one_more_for_each_delay() -> None:
    autoscaler = QueueDelayRule(delay=4.0).autoscaler(bounds())
    assert ask(autoscaler, 10.0, queued=1, oldest=10.0) == 1
    assert autoscaler.wake(10.0) == 14.0
    assert ask(autoscaler, 13.9, queued=5, starting=1, oldest=10.0) == 1
    assert ask(autoscaler, 14.0, queued=5, starting=1, oldest=10.0) == 2
    assert ask(autoscaler, 15.0, queued=5, ready=2, running=2, oldest=10.0) == 2
    assert ask(autoscaler, 18.0, queued=5, ready=2, running=2, oldest=10.0) == 3
    assert ask(autoscaler, 18.5, queued=1, ready=3, running=3, oldest=18.4) == 3
    assert ask(autoscaler, 19.0, ready=3, running=3) == 0


def test_a_worker_for_each_so_many_requests() -> None:
    autoscaler = RequestCountRule(requests=4).autoscaler(bounds())
    assert ask(autoscaler, 0.0, queued=9) == 3
    assert ask(autoscaler, 0.0, queued=1, running=3, ready=1) == 1
    assert ask(autoscaler, 0.0, ready=1) == 0


def test_keda_doubles_and_waits_five_minutes_before_less() -> None:
    rig = Rig(profiled("keda-http"))
    assert rig.load(1000) == 1
    assert [rig.after(15.0) for _ in range(3)] == [5, 10, 10]
    assert rig.load(105 * 10) == 10
    assert rig.after(15.0) == 10  # within the tolerance
    assert rig.load(90) == 10
    assert rig.after(290.0) == 10
    assert rig.after(30.0) == 1
    assert rig.load(0) == 1
    assert rig.after(299.0) == 1
    assert rig.after(1.0) == 0
    assert rig.autoscaler.wake(rig.now) == math.inf


def test_ray_waits_before_each_change_but_not_for_the_first() -> None:
    rig = Rig(profiled("ray-serve"))
    assert rig.load(20) == 1
    assert rig.after(29.0) == 1
    assert rig.after(3.0) == 10
    assert rig.load(4) == 10
    assert rig.after(599.0) == 10
    assert rig.after(40.0) == 2
    assert rig.load(0) == 2
    rig.after(640.0)
    assert rig.instances == 1  # only the last one goes to zero
    rig.after(640.0)
    assert rig.instances == 0


def test_sagemaker_waits_for_two_minutes_with_a_backlog_and_no_instance() -> None:
    rig = Rig(profiled("sagemaker-async", maximum=5))
    assert rig.load(1) == 0
    assert rig.after(119.0) == 0
    assert rig.after(1.0) == 1
    assert rig.load(22) == 1
    rig.after(300.0)
    assert rig.after(60.0) == 5
    assert rig.load(1) == 5
    assert rig.after(600.0) == 5
    rig.after(15 * 60.0)
    assert rig.instances == 1
    assert rig.load(0) == 1
    rig.after(3600.0)
    assert rig.instances == 0
    assert rig.autoscaler.wake(rig.now) == math.inf


def test_knative_panics_and_comes_down_again() -> None:
    rig = Rig(profiled("knative"))
    assert rig.load(1) == 1
    assert rig.after(30.0) == 1
    assert rig.load(700) == 1
    rig.after(8.0)
    assert rig.instances == 10  # in a panic by the panic window: 700 over a target of 70
    rig.load(70)
    assert rig.after(50.0) == 10  # none goes in a panic
    rig.after(40.0)
    assert rig.instances <= 5
    rig.after(60.0)
    assert rig.instances == 1
    rig.load(0)
    assert rig.after(59.0) == 1
    rig.after(40.0)
    assert rig.instances == 0
    assert rig.autoscaler.wake(rig.now) == math.inf


def test_knative_starts_one_for_the_first_request_at_once() -> None:
    rig = Rig(profiled("knative"))
    assert rig.load(5000) == 1
    assert rig.after(2.0) == 72  # 5000 over 70


def test_what_never_serves_is_given_up() -> None:
    autoscaler = profiled("knative")
    assert ask(autoscaler, 0.5, queued=1, oldest=0.5) == 1
    now = 0.5
    while (now := autoscaler.wake(now)) < 0.5 + 630.0:
        assert ask(autoscaler, now, starting=1) == 1
    assert ask(autoscaler, now, starting=1) == 0
