from __future__ import annotations

import re
from typing import Any

import pytest

from bentofn.adapters.local.core.conformity import problems
from bentofn.adapters.local.core.constants import profile_names
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.protocol import FunctionSettings
from bentofn.adapters.url import Url
from bentofn.runtime.manifest import APIContract, ServiceContract

PLAIN_API = APIContract("a", "/a", {}, {})
BATCHED = APIContract("embed", "/embed", {}, {}, batchable=True)
STREAMED = APIContract("tell", "/tell", {}, {}, is_stream=True)


def contract(*apis: APIContract, **more: Any) -> ServiceContract:
    return ServiceContract("S", "service:S", apis=apis or (PLAIN_API,), **more)


def kinds(name: str, settings: FunctionSettings, of: ServiceContract | None = None) -> list[str]:
    return [each.kind for each in problems(load_profile(name), settings, of or contract())]


@pytest.mark.parametrize("name", profile_names())
def test_a_modest_function_fits_every_backend(name: str) -> None:
    assert (
        kinds(name, FunctionSettings(timeout=30.0, memory=16384 if "gpu" in name else 1024)) == []
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (FunctionSettings(memory=20000), "'20000' at 'memorySize' .* less than or equal to 10240"),
        (FunctionSettings(memory=64), "'64' at 'memorySize' .* greater than or equal to 128"),
        (FunctionSettings(timeout=901.0), "'901' at 'timeout' .* less than or equal to 900"),
        (FunctionSettings(concurrency=2), "one request at a time; concurrency is 2"),
        (FunctionSettings(gpu="T4"), "no GPUs; gpu is T4"),
    ],
)
def test_lambda_refuses(settings: FunctionSettings, words: str) -> None:
    problem = problems(load_profile("lambda"), settings, contract())[0]
    assert problem.kind == "refused"
    assert re.search(words, problem.sentence)


def test_lambda_does_not_batch_nor_stream_and_says_so() -> None:
    of = contract(BATCHED, STREAMED)
    found = problems(load_profile("lambda"), FunctionSettings(memory=1024), of)
    assert [(each.kind, each.sentence.partition(":")[0]) for each in found] == [
        ("ignored", "embed"),
        ("differs", "tell"),
    ]


def test_requests_cannot_wait_where_the_backend_refuses_at_zero() -> None:
    hold = FunctionSettings(on_cold="hold")
    assert kinds("sagemaker-inference-components", hold) == ["refused"]
    assert kinds("cloud-run", hold) == []


def test_a_url_that_streams_what_does_not_is_told() -> None:
    settings = FunctionSettings(memory=1024, url=Url(invoke_mode="RESPONSE_STREAM"))
    assert kinds("lambda", settings) == ["differs"]
    assert kinds("cloud-run", settings) == []


def test_lambda_has_cpu_by_memory() -> None:
    assert kinds("lambda", FunctionSettings(memory=1024, cpu=8.0)) == ["ignored"]
    assert kinds("cloud-run", FunctionSettings(cpu=9.0)) == ["refused"]


def test_lambda_says_what_memory_it_gives_to_who_names_none() -> None:
    (problem,) = problems(load_profile("lambda"), FunctionSettings(), contract())
    assert problem.kind == "differs"
    assert "1024 MB, the Serverless Framework's default, and by it 0.58 CPUs" in problem.sentence
    assert problems(load_profile("lambda"), FunctionSettings(memory=512), contract()) == ()


def test_lambda_is_one_process() -> None:
    of = contract(services=(ServiceContract("Inner", "service:Inner"),))
    assert kinds("lambda", FunctionSettings(memory=1024), of) == ["refused"]
    assert kinds("cloud-run", FunctionSettings(), of) == []


def test_limits_of_the_others() -> None:
    assert kinds("cloud-run", FunctionSettings(concurrency=1001)) == ["refused"]
    assert kinds("cloud-run", FunctionSettings(timeout=3601.0)) == ["refused"]
    assert kinds("sagemaker-inference-components", FunctionSettings(timeout=61.0)) == ["refused"]
    assert kinds("knative", FunctionSettings(timeout=601.0)) == ["refused"]
    assert kinds("cloud-run", FunctionSettings(gpu="L4")) == ["refused"]
    assert kinds("cloud-run-gpu", FunctionSettings(gpu="L4")) == []


def test_an_idle_timeout_where_there_is_none_to_set() -> None:
    asked = FunctionSettings(memory=1024, idle_timeout=5.0)
    assert kinds("knative", asked) == ["ignored"]
    assert kinds("lambda", asked) == ["differs"]
    assert kinds("modal", asked) == []


def test_fewer_instances_than_there_are_told() -> None:
    usual = FunctionSettings(memory=1024)
    found = problems(load_profile("lambda"), usual, contract(), machine_limit=16)
    assert [each.kind for each in found] == ["differs"]
    asked = FunctionSettings(memory=1024, max_instances=16)
    assert problems(load_profile("lambda"), asked, contract(), machine_limit=16) == ()
    for reserved, told in ((17, ["differs"]), (16, []), (0, [])):
        asked = FunctionSettings(memory=1024, reserved_concurrency=reserved)
        found = problems(load_profile("lambda"), asked, contract(), machine_limit=16)
        assert [each.kind for each in found] == told
