"""What Modal would refuse is found before any call."""

from __future__ import annotations

from typing import Any

import pytest

from bentofn.adapters.batching import Batching
from bentofn.adapters.modal.bento import Bento
from bentofn.adapters.modal.rules import problems_of
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract


def bento(tmp_path: Any, apis: tuple[APIContract, ...] | None = None, **manifest: Any) -> Bento:
    contract = ServiceContract(
        "s",
        "service:S",
        apis=(APIContract("a", "/a", {}, {}),) if apis is None else apis,
        config=manifest.pop("config", {}),
    )
    said = {"python": "3.11", "platform": "linux/amd64", **manifest}
    return Bento(
        "s:1", f"sha256:{0:064}", BentoManifest("s", "1", contract, **said), Home(tmp_path)
    )


def blocking(found: Bento, **settings: Any) -> list[tuple[str, str]]:
    spec = FunctionSpec("f", "s:1", FunctionSettings(**settings))
    return [(p.field, p.sentence) for p in problems_of(spec, found)
            if p.kind in ("violation", "refused")]  # fmt: skip


def test_a_plain_function_has_no_problem(tmp_path: Any) -> None:
    spec = FunctionSpec("f", "s:1", FunctionSettings(url=None))
    assert problems_of(spec, bento(tmp_path)) == ()


@pytest.mark.parametrize(
    ("settings", "field", "word"),
    [
        ({"idle_timeout": 1}, "", "Modal takes an idleTimeout of 2 seconds at least; it is 1."),
        ({"idle_timeout": 4000}, "", "at most"),
        ({"min_instances": 3, "reserved_concurrency": 2}, "reservedConcurrency", "less"),
        ({"reserved_concurrency": 0}, "reservedConcurrency", "destroy"),
        ({"architecture": "arm64"}, "architecture", "x86_64"),
        ({"gpu": "H900"}, "gpu", "H900"),
        ({"gpu": "A10:5"}, "gpu", "1 to 4"),
        ({"gpu": "L4", "gpu_fallbacks": ("T1",)}, "gpu", "T1"),
        ({"gpu_snapshot": True}, "gpuSnapshot", "gpu"),
        ({"gpu": "L4", "gpu_snapshot": True, "snapshot": "none"}, "gpuSnapshot", "leave one out"),
        ({"timeout": 90_000.0}, "", "86400"),
        ({"concurrency": 2000}, "", "1000"),
        ({"batching": Batching(True, 2000)}, "batching", "1000"),
        ({"batching": Batching(True, 2, 2_000_000)}, "batching", "10 minutes"),
        ({"schedules": (Schedule("s", "at(2030-01-01T00:00:00)"),)}, "events.schedule", "once"),
        ({"schedules": (Schedule("s", "rate(1 day)", api="b"),)}, "events.schedule", "'b'"),
        ({"tags": {"a b": "c"}}, "tags", "a b"),
        ({"snapshot": "criu"}, "snapshot criu", "auto"),
        ({"on_cold": "error"}, "onCold error", "wait"),
        ({"secrets": {"A": Secret("ssm", "/a")}}, "secrets ssm", "modal:NAME"),
    ],
)
def test_a_rule(tmp_path: Any, settings: Any, field: str, word: str) -> None:
    found = blocking(bento(tmp_path), **settings)
    assert [each for each, _ in found] == [field]
    assert word in found[0][1]


def test_the_bento_must_be_for_modals_machines(tmp_path: Any) -> None:
    ((_, sentence),) = blocking(bento(tmp_path, platform="linux/arm64"))
    assert "--platform linux/amd64" in sentence
    ((_, sentence),) = blocking(bento(tmp_path, python="3.9"))
    assert "3.9" in sentence
    ((_, sentence),) = blocking(bento(tmp_path, docker={"dockerfile_template": "FROM x\n"}))
    assert "docker.base_image" in sentence


def test_a_service_that_wants_a_gpu_gets_one_by_name(tmp_path: Any) -> None:
    wants = bento(tmp_path, config={"resources": {"gpu": 1}})
    assert [field for field, _ in blocking(wants)] == ["gpu"]
    assert blocking(wants, gpu="L4", gpu_snapshot=True) == []
    two = bento(tmp_path, config={"resources": {"gpu": 2}})
    ((field, sentence),) = blocking(two, gpu="H100:2", gpu_fallbacks=("L40S",))
    assert (field, sentence.rpartition("; ")[2]) == ("gpu", "say L40S:2.")


def test_streams_are_not_joined(tmp_path: Any) -> None:
    streams = bento(tmp_path, (APIContract("a", "/a", {}, {}, is_stream=True),))
    assert blocking(streams, batching=Batching(True, 8))[0][0] == "batching"
    assert blocking(streams, batching=Batching(True)) == []


def test_a_schedule_names_its_endpoint_where_there_are_several(tmp_path: Any) -> None:
    both = bento(tmp_path, tuple(APIContract(n, f"/{n}", {}, {}) for n in "ab"))
    assert "say api" in blocking(both, schedules=(Schedule("s", "rate(1 day)"),))[0][1]


def test_what_keeps_the_memory_of_several_gpus_from_a_snapshot_is_told(tmp_path: Any) -> None:
    def told(gpu: str) -> list[tuple[str, str]]:
        spec = FunctionSpec("f", "s:1", FunctionSettings(gpu=gpu, gpu_snapshot=True, url=None))
        return [(p.kind, p.sentence) for p in problems_of(spec, bento(tmp_path))]

    assert told("H100") == told("H100:1") == []
    ((kind, sentence),) = told("H100:2")
    assert kind == "differs"
    assert "NCCL" in sentence


def test_a_gpu_without_a_snapshot_of_its_own_is_told(tmp_path: Any) -> None:
    spec = FunctionSpec("f", "s:1", FunctionSettings(gpu="L4", url=None))
    assert [(p.kind, p.field) for p in problems_of(spec, bento(tmp_path))] == [
        ("differs", "snapshot")
    ]
