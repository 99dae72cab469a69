from __future__ import annotations

import pytest

from bentofn.adapters.local.services import (
    entry_spec,
    in_order,
    memory_of,
    spec_of,
    with_gpus_of_services,
)
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.url import Url
from bentofn.runtime.manifest import ServiceContract
from bentofn.runtime.proxy.addresses import ROLE


@pytest.mark.parametrize(
    ("written", "mebibytes"),
    [("512Mi", 512), ("1Gi", 1024), ("1G", 954), (1 << 20, 1), ("1", 1), (None, None), ("x", None)],
)
def test_memory_is_written_as_in_kubernetes(written: object, mebibytes: int | None) -> None:
    assert memory_of(written) == mebibytes


def test_a_service_runs_as_it_says_and_otherwise_as_its_function() -> None:
    settings = FunctionSettings(
        memory=64, cpu=4, timeout=9, environment={"A": "1"}, url=Url(), idle_timeout=5
    )
    spec = FunctionSpec("reviews", "reviews:1", settings)
    config = {"resources": {"cpu": "500m", "memory": "256Mi"}, "traffic": {"concurrency": 3}}

    found = spec_of(spec, ServiceContract("My Words", "service:Words", config), {"B": "2"})

    assert found.name == "reviews.My-Words"
    assert found.settings == FunctionSettings(
        memory=256,
        cpu=0.5,
        timeout=9,
        environment={"A": "1", "B": "2", ROLE: "My Words"},
        url=None,
        idle_timeout=5,
        concurrency=3,
    )
    assert entry_spec(spec, {"B": "2"}).settings.environment == {"A": "1", "B": "2"}
    assert entry_spec(spec, {}) == spec


def test_a_functions_gpu_is_for_those_of_its_services_that_ask_for_one() -> None:
    spec = FunctionSpec("reviews", "reviews:1", FunctionSettings(gpu="L4"))
    model = ServiceContract("Model", "s:Model", {"resources": {"gpu": 1}})
    entry = ServiceContract("Entry", "s:Entry", services=(model,))
    assert with_gpus_of_services(spec, entry).settings.gpu is None
    none = ServiceContract("Entry", "s:Entry", services=(ServiceContract("Words", "s:Words"),))
    assert with_gpus_of_services(spec, none) == spec


def test_services_come_after_those_that_they_depend_on() -> None:
    def service(name: str, *on: str) -> ServiceContract:
        return ServiceContract(name, f"s:{name}", dependencies={each.lower(): each for each in on})

    services = [service("A", "C", "B"), service("B", "C"), service("C"), service("D", "http://x")]
    assert [each.name for each in in_order(services)] == ["C", "B", "A", "D"]
