from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bentofn.runtime.kept.host import UNKNOWN, Host, this_host
from bentofn.runtime.kept.layer import RECORD, Kept, choose

HERE = Host("x86_64", ("avx2", "avx512f"), "NVIDIA H100", "580.126", "x86_64-linux-gnu-g++-14")
KEPT = Kept(HERE, {"torch": "2.13.0"}, {"-v": "gcc 14"}, "ab" * 32, "", ("forward (service.py:3)",))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"machine": "aarch64"}, "on x86_64, and this is aarch64"),
        ({"gpu": ""}, "for NVIDIA H100, and this machine has no GPU"),
        ({"gpu": "NVIDIA A100"}, "for NVIDIA H100, and this machine has NVIDIA A100"),
        ({"gpu": UNKNOWN, "driver": ""}, None),
        ({"driver": "550.1"}, "with the GPU driver 580.126, and this machine has 550.1"),
        ({"features": ("avx2",)}, "on a CPU with avx512f, which this one lacks"),
        ({"features": ("avx2", "avx512f", "amx_tile")}, None),
        ({"compiler": "g++-12"}, "by x86_64-linux-gnu-g++-14, and this machine has g++-12"),
        ({"compiler": ""}, None),
    ],
)
def test_where_it_is_used_and_why_not_elsewhere(
    changed: dict[str, object], reason: str | None
) -> None:
    assert KEPT.mismatch(replace(HERE, **changed)) == reason  # type: ignore[arg-type]


def test_code_of_no_processor_is_used_beside_any() -> None:
    kept = replace(KEPT, host=replace(HERE, features=(), compiler=""))
    assert kept.mismatch(replace(HERE, features=("sse2",), compiler="g++-12")) is None


def test_the_first_that_fits_is_chosen_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    layer, here = tmp_path / "compiled", tmp_path / "here"
    other = replace(KEPT, host=replace(HERE, gpu="NVIDIA A100"))
    for directory, data in (
        (layer / "a", b"no record"),
        (layer / "b", other.to_json()),
        (here / "c", KEPT.to_json()),
    ):
        directory.mkdir(parents=True)
        (directory / RECORD).write_bytes(data)
    assert choose((layer, here), HERE) == ((here / "c", KEPT), ())
    assert choose((layer, tmp_path / "none"), HERE) == (
        None, ("for NVIDIA A100, and this machine has NVIDIA H100",)
    )  # fmt: skip


def test_what_was_compiled_for_the_gpu_goes_before_what_was_without(tmp_path: Path) -> None:
    without = replace(KEPT, host=replace(HERE, gpu="", driver=""))
    for name, kept in (("a", without), ("b", KEPT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / RECORD).write_bytes(kept.to_json())
    assert choose((tmp_path,), HERE) == ((tmp_path / "b", KEPT), ())
    assert choose((tmp_path,), without.host) == ((tmp_path / "a", without), ())


def test_this_machine_knows_its_processor_and_its_compiler(tmp_path: Path) -> None:
    program = tmp_path / "g++-99"
    program.touch(0o755)
    (tmp_path / "g++").symlink_to(program)
    found = this_host({"PATH": str(tmp_path)})
    assert found.features
    assert found.compiler == "g++-99"
    assert this_host({"PATH": str(tmp_path / "none")}).compiler == ""
