"""A service whose model is exported when it is built: what the bento holds, and what it answers."""

from __future__ import annotations

import json
import math
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home, leftovers
from bentofn.packager.modelstore import export_model, import_model
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

pytestmark = pytest.mark.slow

SERVICE = """
import numpy as np

import bentofn
from bentofn.models import BentoModel


@bentofn.service(resources={"cpu": "1"})
class Scores:
    model = BentoModel(
        "tiny",
        runtime="onnx",
        module="net:build",
        example={"input": [[1.0, 2.0, 3.0, 4.0]]},
        dynamic={"input": ["batch", None]},
    )

    def __init__(self) -> None:
        self.score = self.model.session()
        self.labels = (self.model.path / "labels.txt").read_text().split()

    @bentofn.api(batchable=True, examples=[{"x": [[1, 2, 3, 4]]}])
    def scores(self, x: np.ndarray) -> np.ndarray:
        return self.score(x)

    @bentofn.api
    def names(self) -> list[str]:
        return self.labels
"""
NET = """
from safetensors.torch import load_file
from torch import nn


def build(path):
    net = nn.Sequential(nn.Linear(4, 64), nn.GELU(), nn.Linear(64, 3), nn.Softmax(-1))
    net.load_state_dict(load_file(path / "model.safetensors"))
    return net
"""
NOISE = """
    import torch

    class Noise(nn.Module):
        def forward(self, input):
            return input + torch.rand_like(input)

    return net.append(Noise())
"""
BENTOFILE = """
service: "service:Scores"
models: [tiny]
python:
  packages: [torch==2.13.0, numpy, safetensors]
"""
ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, -2.0, 0.0, 9.0], [0.0, 0.0, 0.0, 0.0]]


@dataclass(frozen=True)
class Built:
    home: Home
    project: Path
    result: BuildResult
    said: list[str]

    @property
    def manifest(self) -> BentoManifest:
        store = Store(self.home)
        return store.bento(store.get("bento", self.result.tag))


def write_project(folder: Path, service: str = SERVICE, net: str = NET) -> Path:
    folder.mkdir()
    (folder / "service.py").write_text(service)
    (folder / "net.py").write_text(net)
    (folder / "bentofile.yaml").write_text(BENTOFILE)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """The project, built; its platform is stopped at the end."""
    folder = tmp_path_factory.mktemp("onnx")
    weights = folder / "tiny"
    weights.mkdir()
    draw = np.random.default_rng(7).standard_normal
    shapes = {"0.weight": (64, 4), "0.bias": (64,), "2.weight": (3, 64), "2.bias": (3,)}
    tensors = {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, weights / "model.safetensors")
    (weights / "labels.txt").write_text("low mid high")
    home = Home(folder / "home")
    import_model(Store(home), weights, "tiny", "v1")
    said: list[str] = []
    project = write_project(folder / "project")
    yield Built(home, project, build(project, home, BuildOptions(), said.append), said)
    daemon.stop(home)


def expected() -> np.ndarray:
    draw = np.random.default_rng(7).standard_normal
    w0, b0, w2, b2 = (draw(shape) for shape in ((64, 4), (64,), (3, 64), (3,)))
    hidden = np.array(ROWS) @ w0.T + b0
    gelu = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    logits = gelu @ w2.T + b2
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def ask(url: str, path: str, body: object) -> tuple[str, object]:
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers["X-Bentofn-Start"], json.loads(response.read())


def test_the_bento_holds_no_torch_and_says_what_its_model_was_made_of(built: Built) -> None:
    names = {line.partition("==")[0] for line in built.manifest.lock}
    assert {"numpy", "onnxruntime", "safetensors"} <= names
    assert not names & {"torch", "onnx", "onnxscript", "sympy", "networkx"}
    (model,) = built.manifest.models
    assert (model.name, model.runtime) == ("tiny.onnx", "onnx")
    assert model.exported is not None
    assert (model.exported.tag, model.exported.module) == ("tiny:v1", "net:build")
    assert "torch==2.13.0" in {tool.partition("+")[0] for tool in model.exported.tools}
    assert BentoManifest.from_json(built.manifest.to_json()) == built.manifest
    assert sum(layer.size for layer in built.result.layers) < 80e6
    assert any(text.startswith("ONNX and torch are at most") for text in built.said)


@pytest.mark.parametrize("cpus", [1, 2])
def test_it_is_restored_and_answers_as_torch_does(built: Built, cpus: int) -> None:
    settings = FunctionSettings(idle_timeout=60, snapshot="template", cpu=cpus)
    adapter = LocalAdapter(built.home, port=0)
    url = adapter.apply(FunctionSpec(f"scores-{cpus}", built.result.tag, settings), print).url
    start, scores = ask(url, "/scores", {"x": ROWS})
    np.testing.assert_allclose(np.array(scores), expected(), atol=1e-4)
    assert ask(url, "/names", {})[1] == ["low", "mid", "high"]
    status = next(each for each in adapter.status() if each.name == f"scores-{cpus}")
    assert start == "restored" or dict(status.starts).get("restored")


def test_a_change_of_the_service_does_not_export_again(built: Built, tmp_path: Path) -> None:
    service = SERVICE.replace("return self.labels", "return self.labels[:1]")
    project = write_project(tmp_path / "project", service)
    said: list[str] = []
    result = build(project, built.home, BuildOptions(), said.append)
    models = [layer.digest for layer in built.result.layers if layer.kind == "model"]
    assert [layer.digest for layer in result.layers if layer.kind == "model"] == models
    assert not [text for text in said if "xport" in text]
    assert build(built.project, built.home, BuildOptions(), print).reused


def test_the_exported_model_is_one_of_the_store(built: Built, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export_model(Store(built.home), "tiny.onnx", tmp_path / "onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    (scores,) = session.run(None, {"input": np.array(ROWS, np.float32)})
    np.testing.assert_allclose(scores, expected(), atol=1e-4)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (f"import torch\n{SERVICE}", "service.py:1: torch is imported together with the service"),
        (f"import net\n{SERVICE}", "net.py:"),
    ],
)
def test_a_service_that_needs_torch_to_be_imported_is_refused(
    built: Built, tmp_path: Path, service: str, said: str
) -> None:
    project = write_project(tmp_path / "project", service)
    with pytest.raises(UserError) as caught:
        build(project, built.home, BuildOptions(), print)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_declaration_that_only_running_the_code_shows_is_refused(
    built: Built, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", SERVICE.replace('"onnx"', '"on" + "nx"'))
    (project / "bentofile.yaml").write_text("service: service:Scores\npython: {packages: [numpy]}")
    with pytest.raises(UserError, match='could not see in the code; write runtime="onnx" out'):
        build(project, built.home, BuildOptions(slim="off"), print)


def test_a_package_that_needs_torch_is_named(built: Built, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    packages = BENTOFILE.replace("numpy, ", "numpy, torchmetrics, ")
    (project / "bentofile.yaml").write_text(packages)
    with pytest.raises(UserError, match=r"without torch, but .*torchmetrics.* needs? it"):
        build(project, built.home, BuildOptions(), print)


def test_a_change_of_the_module_exports_again_and_a_difference_fails(
    built: Built, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", net=NET.replace("return net", NOISE))
    with pytest.raises(UserError, match=r"tiny:v1 cannot be served with ONNX: .* differs from"):
        build(project, built.home, BuildOptions(), print)
    assert leftovers(built.home) == []
