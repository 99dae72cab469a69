from __future__ import annotations

import pytest

from bentofn.adapters.local.core.billing import InstancePrice, RequestPrice, Size
from bentofn.adapters.local.core.messages import (
    Dispatch,
    InstanceExited,
    InstanceFailed,
    InstanceReady,
    RequestFinished,
    StartInstance,
)
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.protocol import FunctionSettings

REQUESTS = RequestPrice(
    per_request=0.5,
    per_gib_second=2.0,
    step=0.001,
    restore_per_gib=10.0,
    cache_per_gib_second=0.001,
    cache_least=10800.0,
)


def test_a_request_is_paid_by_the_millisecond_and_so_is_the_start() -> None:
    meter = REQUESTS.meter(Size(512, 0.3))
    meter.handle(StartInstance("i1"), 0.0)
    meter.handle(InstanceReady("i1"), 2.0)
    meter.handle(Dispatch(1, "i1", started=True), 2.0)
    meter.handle(RequestFinished(1), 2.0101)
    meter.handle(InstanceExited("i1", "stopped"), 700.0)
    assert meter.cost(700.0) == pytest.approx(0.5 + 0.5 * 2.0 * (2.0 + 0.011))


def test_what_the_backend_reports_of_a_request_is_billed_and_has_its_start_in_it() -> None:
    meter = REQUESTS.meter(Size(1024, 0.3))
    for instance in ("i1", "i2"):
        meter.handle(StartInstance(instance), 0.0)
        meter.handle(InstanceReady(instance), 2.0)
    for request in (1, 2):
        meter.handle(Dispatch(request, "i1", started=True), 2.0)
        meter.handle(RequestFinished(request, billed=1.8 / request), 2.5)
    assert meter.cost(3.0) == pytest.approx(2 * 0.5 + 2.0 * (1.8 + 0.9))
    meter.handle(InstanceExited("i1", "stopped"), 4.0)
    assert meter.cost(4.0) == pytest.approx(2 * 0.5 + 2.0 * (1.8 + 0.9))
    meter.handle(InstanceExited("i2", "stopped"), 4.0)  # nobody asked it
    assert meter.cost(4.0) == pytest.approx(2 * 0.5 + 2.0 * (1.8 + 0.9 + 2.0))


def test_a_restore_is_paid_by_memory_and_the_snapshot_for_three_hours() -> None:
    meter = REQUESTS.meter(Size(2048, 1.0))
    meter.handle(StartInstance("i1"), 0.0)
    meter.handle(InstanceReady("i1", start="restored"), 0.05)
    assert meter.cost(1.0) == pytest.approx(2 * (10.0 + 10.8))
    assert meter.cost(20000.05) == pytest.approx(2 * (10.0 + 20.0))


def test_the_price_of_a_million_requests_on_lambda() -> None:
    # 1 GB for 100 ms, a million times, in AWS' own way to reckon: 1.67 + 0.20 dollars.
    profile = load_profile("lambda")
    meter = profile.price.rule.meter(profile.size(FunctionSettings(memory=1024)))
    for request in range(1000):
        meter.handle(Dispatch(request, "i1", started=False), 0.0)
        meter.handle(RequestFinished(request), 0.1)
    assert 1000 * meter.cost(1.0) == pytest.approx(1.666670 + 0.2)


def instance_price(*, idle: bool, step: float = 1.0) -> InstancePrice:
    return InstancePrice(
        per_second=0.0, per_cpu_second=3.0, per_gib_second=1.0, per_request=0.25, step=step,
        idle=idle,
    )  # fmt: skip


def lived(price: InstancePrice) -> float:
    meter = price.meter(Size(1024, 2.0))
    meter.handle(StartInstance("i1"), 0.0)
    meter.handle(InstanceReady("i1"), 2.0)
    for request in (1, 2):
        meter.handle(Dispatch(request, "i1", started=False), 10.0 + request)
    for request in (1, 2):
        meter.handle(RequestFinished(request), 14.0 + request)
    meter.handle(InstanceExited("i1", "stopped"), 30.5)
    return meter.cost(99.0)


def test_an_instance_is_paid_from_its_start_to_its_end() -> None:
    assert lived(instance_price(idle=True)) == pytest.approx(31 * 7.0 + 0.5)


def test_an_idle_instance_is_free_where_only_requests_are_paid() -> None:
    # Its start, and once the time in which it had any of two requests.
    assert lived(instance_price(idle=False)) == pytest.approx((2 + 5) * 7.0 + 0.5)


def test_what_runs_is_paid_so_far() -> None:
    meter = instance_price(idle=True, step=0.1).meter(Size(0, 1.0))
    meter.handle(StartInstance("i1"), 0.0)
    assert meter.cost(1.25) == pytest.approx(1.3 * 3.0)
    meter.handle(InstanceFailed("i1", "no module"), 2.0)
    assert meter.cost(50.0) == pytest.approx(2.0 * 3.0)


def idle_hour(name: str) -> float:
    profile = load_profile(name)
    meter = profile.price.rule.meter(profile.size(FunctionSettings()))
    meter.handle(StartInstance("i1"), 0.0)
    meter.handle(InstanceReady("i1"), 0.0)
    return meter.cost(3600.0)


def test_an_hour_without_a_request() -> None:
    assert idle_hour("lambda") == idle_hour("cloud-run") == idle_hour("knative") == 0.0
    assert idle_hour("runpod") == pytest.approx(3600 * 0.00019)
    with_gpu = 3600 * (0.0001867 + 4 * 0.000018 + 16 * 0.000002)
    assert idle_hour("cloud-run-gpu") == pytest.approx(with_gpu)


def test_our_own_machine_costs_nothing() -> None:
    profile = load_profile("plain")
    meter = profile.price.rule.meter(profile.size(FunctionSettings()))
    meter.handle(StartInstance("i1"), 0.0)
    assert meter.cost(1e6) == 0.0
