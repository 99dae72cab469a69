"""What a function asks for of the machine's GPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bentofn.adapters.local.gpu.share import GpuFunction, Share
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.runtime.manifest import BentoManifest, ServiceContract


def asked(wanted: Any, envs: dict[str, str] | None = None, **settings: Any) -> GpuFunction | None:
    resources = {} if wanted is None else {"resources": {"gpu": wanted}}
    contract = ServiceContract("Model", "service:Model", apis=(), config=resources)
    manifest = replace(BentoManifest("m", "1", contract, "3.11", "linux/amd64"), envs=envs or {})
    return GpuFunction.of(FunctionSpec("f", "m:1", FunctionSettings(**settings)), manifest)


@pytest.mark.parametrize(
    ("gpu", "settings", "share"),
    [
        (1, {}, Share(1)),
        ("2", {}, Share(2)),
        (0.5, {}, Share(part=0.5)),
        (None, {"gpu": "h100"}, Share(1)),
        (1, {"gpu": "h100:2"}, Share(2)),
        (1, {"gpu": "0.5"}, Share(part=0.5)),
        (None, {"gpu": "2"}, Share(2)),
        (None, {}, None),
        (0, {}, None),
        ([0, 1], {}, None),
        (1, {"environment": {"CUDA_VISIBLE_DEVICES": "1"}}, None),
    ],
)
def test_a_function_asks_with_its_settings_or_its_service_does(
    gpu: Any, settings: dict[str, Any], share: Share | None
) -> None:
    function = asked(gpu, **settings)
    assert (function.share if function is not None else None) == share


def test_a_bento_that_names_its_gpus_takes_care_of_them_itself() -> None:
    assert asked(1, {"CUDA_VISIBLE_DEVICES": "0"}) is None


def test_instances_sleep_unless_the_setting_forbids_it() -> None:
    for setting, sleeps in {"auto": True, "none": False, "criu": False}.items():
        function = asked(1, snapshot=setting)
        assert function is not None
        assert function.sleeps is sleeps
    on_disk = asked(1, gpu_snapshot=True)
    assert on_disk is not None
    assert (on_disk.sleeps, on_disk.on_disk, on_disk.copies) == (True, True, True)
