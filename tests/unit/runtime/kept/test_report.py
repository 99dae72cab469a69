from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from bentofn.runtime.kept.report import Report, kernels


def compilation(name: str, **counts: object) -> SimpleNamespace:
    return SimpleNamespace(
        co_name=name, co_filename="/x/service.py", co_firstlineno=7,
        entire_frame_compile_time_s=2.0, **counts,
    )  # fmt: skip


MISS = {"inductor_fx_local_cache_miss_count": 1}
HIT = {"inductor_fx_local_cache_hit_count": 1, "inductor_fx_local_cache_miss_count": 0}


def test_a_start_that_compiles_nothing_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(has_kept=True)
    report.heard(compilation("forward", **HIT))
    report.started([])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (Report(), "nothing compiled is kept with the bento yet"),
        (Report(has_kept=True), "of other code, shapes or options"),
        (
            Report(("without a GPU",), has_kept=True),
            "was compiled without a GPU.",
        ),
        (Report(has_kept=True, unusable="No space left on device"), "No space left on device."),
        (Report(("for NVIDIA A100, and this machine has no GPU",)), "was compiled for NVIDIA A100"),
    ],
)
def test_what_a_start_compiled_and_why(
    report: Report, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report.heard(compilation("forward", **MISS))
    report.heard(compilation("encode", **MISS))
    report.started(["not told again"])
    said = capsys.readouterr().err
    assert "compiled at this start in 4.0 s: forward (service.py:7), encode (service.py:7)" in said
    assert why in said
    assert said.count("\n") == 1


def test_what_a_request_compiled_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(has_kept=True)
    report.started([])
    reason = "0/0: tensor 'x' size mismatch at index 0. expected 4, actual 6"
    report.heard(compilation("forward", recompile_reason=reason, **MISS))
    assert capsys.readouterr().err == (
        "bentofn: compiled for a request, in 2.0 s: forward (service.py:7) "
        "(tensor 'x' size mismatch at index 0. expected 4, actual 6).\n"
    )


def test_kernels_that_only_their_files_tell_of(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.started(kernels([Path("w/triton/AB/add.cubin"), Path("w/triton/AB/add.json")]))
    assert "compiled at this start: add;" in capsys.readouterr().err
