from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.runtime.errors import BentoMLConfigException
from bentofn.runtime.gpus import Allocator, find_gpus, is_allocated, visible_gpus


def test_the_gpus_of_a_machine_are_its_device_files(tmp_path: Path) -> None:
    for name in ("nvidia10", "nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert find_gpus(str(tmp_path)) == ["0", "2", "10"]
    assert find_gpus(str(tmp_path / "none")) == []


def test_the_gpus_that_are_seen_are_those_that_a_variable_names_or_all_by_their_order(
    tmp_path: Path,
) -> None:
    def seen(**environ: str) -> list[str]:
        return visible_gpus(environ, str(tmp_path))

    assert seen(CUDA_VISIBLE_DEVICES="0") == []
    (tmp_path / "nvidia3").touch()
    assert seen() == ["0"]  # as in a container that was given one
    (tmp_path / "nvidia5").touch()
    assert seen() == ["0", "1"]
    assert seen(CUDA_VISIBLE_DEVICES="GPU-7, 1") == ["GPU-7", "1"]
    assert seen(CUDA_VISIBLE_DEVICES="1,-1,0") == ["1"]
    assert seen(CUDA_VISIBLE_DEVICES="") == []


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ([1, 1], [["0"], ["1"]]),
        ([0.5, 0.5, 0.5], [["0"], ["0"], ["1"]]),
        ([0.5, 0.25, 0.5], [["0"], ["1"], ["0"]]),
        ([0.5, 1], [["0"], ["1"]]),
        ([2], [["0", "1"]]),
        (["1", 0], [["0"], []]),
        ([["1"], [0, "GPU-7"]], [["1"], ["0", "GPU-7"]]),
        ([0.1] * 10 + [1], [["0"]] * 10 + [["1"]]),
    ],
)
def test_services_get_gpus_by_the_rules_of_bentoml(
    wanted: list[object], given: list[list[str]]
) -> None:
    allocator = Allocator(["0", "1"])
    assert [allocator.assign(each) for each in wanted] == given


def test_what_the_machine_lacks_is_warned_of_and_what_is_no_number_refused() -> None:
    allocator = Allocator(["0"])
    assert allocator.assign(1) == ["0"]
    with pytest.warns(ResourceWarning, match="Requested 2 GPUs, but only 0 are remaining"):
        assert allocator.assign(2) == ["1", "2"]
    with pytest.raises(BentoMLConfigException, match="larger than 1 is not supported"):
        Allocator(["0", "1"]).assign(1.5)
    with pytest.raises(BentoMLConfigException, match="not 'many'"):
        allocator.assign("many")


def test_gpus_that_the_user_gave_are_left_alone() -> None:
    assert is_allocated({})
    assert not is_allocated({"CUDA_VISIBLE_DEVICES": "0"})
    assert not is_allocated({"BENTOML_DISABLE_GPU_ALLOCATION": "1"})
