from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.supervisor.backoff import Backoff
from bentofn.runtime.supervisor.metrics import merge
from bentofn.runtime.supervisor.plan import Process, cores_of, plan


def test_each_service_has_its_workers_cpus_and_gpus() -> None:
    services = {
        "Entry": {"workers": 2},
        "Small": {"resources": {"cpu": "500m"}},
        "Large": {"workers": 2, "resources": {"cpu": 3, "gpu": 2}},
        "Each": {"workers": "cpu_count", "resources": {"gpu": 1}},
    }
    assert plan(services, 4, ["0", "1", "2"], {}) == (
        Process("Entry", 2, 2),
        Process("Small", 1, 1),
        Process("Large", 2, 3, {"CUDA_VISIBLE_DEVICES": "0,1"}),
        Process("Each", 4, 1),
    )
    given_by_hand = plan(services, 4, ["0"], {"CUDA_VISIBLE_DEVICES": "2"})
    assert all(not process.env for process in given_by_hand)


def test_gpus_that_one_service_names_are_given_to_no_other() -> None:
    services: dict[str, dict[str, Any]] = {
        "First": {"resources": {"gpu": 1}},
        "Half": {"resources": {"gpu": 0.5}},
        "Named": {"resources": {"gpu": ["0", 2]}},
        "None": {"workers": "cpu_count", "resources": {"gpu": ["3"]}},
    }
    seen = [each.env.get("CUDA_VISIBLE_DEVICES") for each in plan(services, 4, list("0123"), {})]
    assert seen == ["1", "3", "0,2", None]


def test_cpus_are_written_as_in_kubernetes() -> None:
    assert [cores_of(each) for each in (2, "2", "500m", None, "x")] == [2.0, 2.0, 0.5, None, None]


@given(st.lists(st.integers(0, 9), min_size=2, max_size=12))
def test_a_process_that_ends_early_again_and_again_is_started_ever_later(
    lives: list[int],
) -> None:
    backoff, now, waits = Backoff(), 100.0, []
    for life in lives:
        backoff.started(now)
        again = backoff.ended(now + life)
        waits.append(again - now - life)
        now = again
    assert waits[0] == 0
    assert all(early <= late for early, late in pairwise(waits))
    assert all(wait <= 30 for wait in waits)
    backoff.started(now)
    assert backoff.ended(now + 10) == now + 10


def test_the_metrics_of_workers_are_added_up_and_of_times_the_latest_stays() -> None:
    one = (
        "# HELP a_request_total Requests\n# TYPE a_request_total counter\n"
        'a_request_total{code="200"} 2.0\n'
        "# HELP a_last_request_timestamp_seconds Last\n"
        "# TYPE a_last_request_timestamp_seconds gauge\n"
        "a_last_request_timestamp_seconds 7.0\n"
    )
    two = one.replace('"200"} 2.0', '"200"} 3.0\na_request_total{code="500"} 1.0')
    merged = merge([one, two.replace(" 7.0", " 5.0")])
    assert 'a_request_total{code="200"} 5.0' in merged
    assert 'a_request_total{code="500"} 1.0' in merged
    assert "a_last_request_timestamp_seconds 7.0" in merged
    assert "# TYPE a_request_total counter" in merged
