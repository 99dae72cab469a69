from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.build_inputs import BuildOptions, gather
from bentofn.packager.environment.resolve import Lock
from bentofn.packager.home import Home
from bentofn.packager.onnx.plan import Plan, plan_exports, same_runtime
from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import declare

SERVICE = """
import bentofn
from bentofn.models import BentoModel

@bentofn.service
class Scores:
    model = BentoModel("m", runtime="onnx", module="model:build", example={"x": [[1.0]]})
"""


def plan(folder: Path, python: str, service: str = SERVICE) -> Plan | None:
    project = folder / "project"
    project.mkdir()
    (project / "service.py").write_text(service)
    (project / "bentofile.yaml").write_text(f"service: service:Scores\npython: {python}\n")
    return plan_exports(gather(project, Home(folder / "home"), BuildOptions()))


def packages(folder: Path, python: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = plan(folder, python)
    assert found is not None
    return found.inputs.requirements.packages, found.building.packages


def test_torch_is_for_the_build_and_onnx_runtime_for_the_bento(tmp_path: Path) -> None:
    serving, building = packages(tmp_path, "{packages: [Torch==2.13.0, torchvision, numpy]}")
    assert serving == ("numpy", "onnxruntime")
    assert building[:4] == ("Torch==2.13.0", "torchvision", "numpy", "onnxruntime")
    assert [each.split(">")[0] for each in building[4:]] == ["onnx", "onnxscript"]


def test_what_only_the_build_needs_can_be_named(tmp_path: Path) -> None:
    serving, building = packages(
        tmp_path, "{packages: [numpy, onnxruntime==1.20.0], build_packages: [transformers]}"
    )
    assert serving == ("numpy", "onnxruntime==1.20.0")
    assert building[:4] == ("numpy", "onnxruntime==1.20.0", "transformers", "torch")


def test_a_build_package_is_checked_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python\.build_packages: \./nets is a local path"):
        plan(tmp_path, "{build_packages: [./nets]}")


def test_a_service_without_an_export_is_built_as_ever(tmp_path: Path) -> None:
    assert plan(tmp_path, "{packages: [torch]}", SERVICE.replace("onnx", "none")) is None


def test_the_export_is_proved_with_the_runtime_that_serves(tmp_path: Path) -> None:
    found = plan(tmp_path, "{packages: [numpy]}")
    assert found is not None
    lock = Lock(("numpy==2.1.0 --hash=sha256:0", "onnxruntime==1.20.1 --hash=sha256:1"))
    assert same_runtime(found.building, lock).constraints == ("onnxruntime==1.20.1",)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "service.py:2: No module named 'torch', while importing 'service:Scores'; install it.",
            "service.py:2: torch is imported together with the service, but the bento does not",
        ),
        (
            "nets.py:1: No module named 'torch.nn', while importing 'service:Scores'; install it.",
            "nets.py:1: torch is imported together with the service",
        ),
        (
            "service.py:2: No module named 'pandas', while importing 'service:Scores'; install it.",
            "service.py:2: No module named 'pandas'",
        ),
    ],
)
def test_an_import_of_torch_is_explained(tmp_path: Path, message: str, said: str) -> None:
    found = plan(tmp_path, "{packages: [torch]}")
    assert found is not None
    with pytest.raises(UserError) as caught, found.explaining():
        raise UserError(message)
    assert str(caught.value).startswith(said)


def test_torch_in_a_function_that_the_export_does_not_need_is_warned_of(tmp_path: Path) -> None:
    late = "\n\ndef late():\n    import torch.nn"
    found = plan(tmp_path, "{packages: [torch]}", SERVICE + late)
    assert found is not None
    elsewhere, here = (
        declare("m", f"{file}:build", {"x": [1.0]}, None) for file in ("n", "service")
    )
    assert found.warnings([here]) == ()
    (warning,) = found.warnings([elsewhere])
    assert warning.startswith(
        "service.py imports torch in a function, but the bento holds no torch"
    )
