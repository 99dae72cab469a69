"""TorchScript and torch.export programs are stored as they are, and served from their path."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home
from bentofn.packager.modelstore import import_model
from bentofn.packager.modelstore.access import model_files
from bentofn.packager.store import Store

pytestmark = pytest.mark.slow

SERVICE = """
import numpy as np
import torch

import bentofn
from bentofn.models import BentoModel


@bentofn.service(resources={"cpu": "1"})
class Programs:
    script = BentoModel("doubler-script")
    exported = BentoModel("doubler-export")

    def __init__(self) -> None:
        self.programs = [
            torch.jit.load(self.script.path_of("doubler.pt")),
            torch.export.load(self.exported.path_of("doubler.pt2")).module(),
        ]

    @bentofn.api(examples=[{"x": [[1.0, 2.0]]}])
    def both(self, x: np.ndarray) -> list[list[list[float]]]:
        with torch.inference_mode():
            return [run(torch.tensor(x, dtype=torch.float32)).tolist() for run in self.programs]
"""


@pytest.fixture(scope="module")
def built(
    example_home: Home, example: BuildResult, tmp_path_factory: pytest.TempPathFactory
) -> BuildResult:
    """The service, in the environment of the embeddings example, which is there already."""
    import torch

    class Doubler(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x + 1

    folder = tmp_path_factory.mktemp("programs")
    store, sample = Store(example_home), torch.ones(2, 2)
    torch.jit.save(torch.jit.trace(Doubler(), sample), str(folder / "doubler.pt"))
    rows = {"x": {0: torch.export.Dim("rows")}}
    program = torch.export.export(Doubler(), (sample,), dynamic_shapes=rows)
    torch.export.save(program, folder / "doubler.pt2")
    for name, file in (("doubler-script", "doubler.pt"), ("doubler-export", "doubler.pt2")):
        assert list(model_files(store, import_model(store, folder / file, name))) == [file]
    project = folder / "project"
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    template = (
        Path(__file__).parents[2] / "examples" / "embeddings" / "bentofile.yaml"
    ).read_text()
    packages = template[template.index("python:") : template.index("models:")]
    (project / "bentofile.yaml").write_text(f"service: service:Programs\n{packages}")
    return build(project, example_home, BuildOptions(), print)


def test_both_are_served_slimmed_and_restored(example_home: Home, built: BuildResult) -> None:
    assert built.slimmed
    assert not built.warnings
    adapter = LocalAdapter(example_home, port=0)
    settings = FunctionSettings(idle_timeout=60, snapshot="template", cpu=1)
    status = adapter.apply(FunctionSpec("programs", built.tag, settings), print)
    body = json.dumps({"x": [[1.0, 2.0], [3.0, 4.0], [0.0, -1.0]]}).encode()
    request = urllib.request.Request(f"{status.url}/both", body)
    with urllib.request.urlopen(request, timeout=60) as response:
        answers = json.loads(response.read())
    np.testing.assert_allclose(answers, [[[3, 5], [7, 9], [1, -1]]] * 2)
    assert next(each for each in adapter.status() if each.name == "programs").starts == {
        "restored": 1
    }
